/* SPDX-License-Identifier: MIT */
/* What must be the same where an image is made and where it runs. */
#include "engine/image/file_parts.h"
#include "engine/layout_digest.h"
#include "guest/fast/blob.h"
#include "guest/stub/stub.h"
#include "guest/vdso/blob.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Leaves that say which of several equal CPUs this is, how it is wired and how fast its clock runs:
 * an image does not depend on them. Intel SDM vol. 2, CPUID; 0x40000000: the hypervisor's own.
 */
static bool is_of_place(const struct kvm_cpuid_entry2 *entry)
{
	switch (entry->function) {
	case 2:
	case 4:
	case 0xb:
	case 0x15:
	case 0x16:
	case 0x18:
	case 0x1f:
	case 0x8000001d:
	case 0x8000001e:
		return true;
	default:
		return entry->function >> 28 == 4;
	}
}

static void add_leaf(struct mf_digest *digest, const struct kvm_cpuid_entry2 *entry)
{
	uint32_t words[6] = {entry->function, entry->index, entry->eax,
			     entry->ebx,      entry->ecx,   entry->edx};

	if (is_of_place(entry))
		return;
	if (entry->function == 1) {
		words[3] &= 0x0000ff00;  /* APIC id, number of logical CPUs */
		words[4] &= ~(1u << 27); /* OSXSAVE follows CR4 */
	}
	/* Sizes of the XSAVE area follow what is switched on at the time. */
	if (entry->function == 0xd && entry->index < 2)
		words[3] = 0;
	mf_digest_add(digest, words, sizeof(words));
}

static int identify_cpu(const struct mf_kvm *kvm, uint8_t out[MF_DIGEST_BYTES])
{
	struct mf_digest *digest = mf_digest_begin();
	uint32_t i;

	if (!digest)
		return -ENOMEM;
	mf_digest_add(digest, &kvm->traits.xcr0, sizeof(kvm->traits.xcr0));
	mf_digest_add(digest, &kvm->traits.cr4_extra, sizeof(kvm->traits.cr4_extra));
	for (i = 0; i < kvm->cpuid->nent; i++)
		add_leaf(digest, &kvm->cpuid->entries[i]);
	return mf_digest_end(digest, out);
}

static int identify_engine(uint8_t out[MF_DIGEST_BYTES])
{
	struct mf_digest *digest = mf_digest_begin();

	if (!digest)
		return -ENOMEM;
	mf_digest_add(digest, MF_LAYOUT_DIGEST, sizeof(MF_LAYOUT_DIGEST));
	mf_digest_add(digest, mf_stub_software, (size_t)(mf_stub_software_end - mf_stub_software));
	mf_digest_add(digest, mf_stub_hardware, (size_t)(mf_stub_hardware_end - mf_stub_hardware));
	mf_digest_add(digest, mf_stub_user, (size_t)(mf_stub_user_end - mf_stub_user));
	mf_digest_add(digest, mf_stub_handlers, (size_t)(mf_stub_handlers_end - mf_stub_handlers));
	mf_digest_add(digest, mf_fast_start, (size_t)(mf_fast_end - mf_fast_start));
	mf_digest_add(digest, mf_vdso_start, (size_t)(mf_vdso_end - mf_vdso_start));
	return mf_digest_end(digest, out);
}

static void name_cpu(char name[64])
{
	uint32_t words[12] = {0};
	uint32_t i;

	for (i = 0; i < 3; i++)
		__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
			    &words[4 * i + 3]);
	snprintf(name, 64, "%.48s", words[0] ? (const char *)words : "unnamed CPU");
}

int mf_image_identify(const struct mf_kvm *kvm, struct mf_image_header *header)
{
	int ret = identify_cpu(kvm, header->cpu_digest);

	if (!ret)
		ret = identify_engine(header->engine_digest);
	header->family = (uint32_t)kvm->traits.family;
	snprintf(header->engine, sizeof(header->engine), "%s", MF_VERSION);
	name_cpu(header->cpu);
	return ret;
}

int mf_image_file_fits(const struct mf_image_file *file, const struct mf_kvm *kvm,
		       struct mf_error *err)
{
	const struct mf_image_header *made = &file->header;
	struct mf_image_header here = {0};
	int ret = mf_image_identify(kvm, &here);

	if (ret)
		return mf_error_set(err, ret, "cannot describe this machine's CPU");
	if (made->family != here.family)
		return mf_error_set(err, -EXDEV,
				    "the image was made under %s KVM and this host's is %s: build "
				    "it on this host, or on one like it",
				    mf_family_name(made->family), mf_family_name(here.family));
	if (memcmp(made->engine_digest, here.engine_digest, sizeof(here.engine_digest)))
		return mf_error_set(err, -EXDEV,
				    "the image was made by another build of Mayfly (%s; this is "
				    "%s): build it again with this one",
				    made->engine, here.engine);
	if (memcmp(made->cpu_digest, here.cpu_digest, sizeof(here.cpu_digest)))
		return mf_error_set(err, -EXDEV,
				    "the image was made for another CPU (%s; this is %s, or one "
				    "with other features): build it on this one",
				    made->cpu, here.cpu);
	return 0;
}
