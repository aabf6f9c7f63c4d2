/* SPDX-License-Identifier: MIT */
#include "engine/image/delta.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct collect {
	struct mf_vm *vm;
	struct mf_delta *delta;
	size_t capacity;
	int ret;
};

static const uint8_t *image_page(const struct mf_vm *vm, size_t page)
{
	static const uint8_t zero[MF_PAGE];
	size_t at = page * MF_PAGE;

	return at < vm->image->backing.bytes ? vm->image->backing.map + at : zero;
}

static int grow(struct collect *collect)
{
	size_t capacity = collect->capacity ? collect->capacity * 2 : 64;
	uint32_t *pages = realloc(collect->delta->pages, capacity * sizeof(*pages));
	uint8_t *bytes;

	if (!pages)
		return -ENOMEM;
	collect->delta->pages = pages;
	bytes = realloc(collect->delta->bytes, capacity * MF_PAGE);
	if (!bytes)
		return -ENOMEM;
	collect->delta->bytes = bytes;
	collect->capacity = capacity;
	return 0;
}

static void collect_page(struct collect *collect, size_t page)
{
	const uint8_t *now = collect->vm->mem.base + page * MF_PAGE;
	const uint8_t *then = image_page(collect->vm, page);
	struct mf_delta *delta = collect->delta;
	size_t i;

	if (!memcmp(now, then, MF_PAGE))
		return;
	if (delta->page_count == collect->capacity && (collect->ret = grow(collect)))
		return;
	for (i = 0; i < MF_PAGE; i++)
		delta->bytes_differing += now[i] != then[i];
	delta->pages[delta->page_count] = (uint32_t)page;
	memcpy(delta->bytes + delta->page_count * MF_PAGE, now, MF_PAGE);
	delta->page_count++;
}

static void collect_run(void *cookie, size_t first, size_t count)
{
	struct collect *collect = cookie;

	for (; count && !collect->ret; first++, count--)
		collect_page(collect, first);
}

/*
 * Equal but for XSTATE_BV (bytes 512..519): the CPU may call a component "in use" although it holds
 * its initial values (Intel SDM vol. 1, 13.6), and KVM gives the initial values of those that are
 * not.
 */
static bool xsave_equal(const struct kvm_xsave *a, const struct kvm_xsave *b)
{
	const uint8_t *one = (const uint8_t *)a;
	const uint8_t *other = (const uint8_t *)b;

	return !memcmp(one, other, 512) && !memcmp(one + 520, other + 520, sizeof(*a) - 520);
}

static unsigned int compare_cpu(const struct mf_cpu_state *a, const struct mf_cpu_state *b)
{
	unsigned int differ = 0;

	if (memcmp(&a->regs, &b->regs, sizeof(a->regs)))
		differ |= MF_DELTA_REGS;
	if (memcmp(&a->sregs, &b->sregs, sizeof(a->sregs)))
		differ |= MF_DELTA_SREGS;
	if (memcmp(&a->events, &b->events, sizeof(a->events)))
		differ |= MF_DELTA_EVENTS;
	if (memcmp(&a->debugregs, &b->debugregs, sizeof(a->debugregs)))
		differ |= MF_DELTA_DEBUG;
	if (!xsave_equal(&a->xsave, &b->xsave))
		differ |= MF_DELTA_XSAVE;
	return differ;
}

/* Registers that were set through sync regs reach the vCPU at its next run: make one that ends at
 * once. */
static int settle(struct mf_vm *vm)
{
	return vm->kvm.run->kvm_dirty_regs ? mf_vm_drain(vm) : 0;
}

int mf_delta_take(struct mf_vm *vm, struct mf_delta *delta)
{
	struct collect collect = {.vm = vm, .delta = delta};
	size_t pages = (vm->mem.arena_bytes + vm->mem.guest_bytes) / MF_PAGE;
	int ret;

	memset(delta, 0, sizeof(*delta));
	ret = mf_private_scan(vm->kvm.kvm->pagemap_fd, false, vm->mem.base, pages, collect_run,
			      &collect);
	if (!ret)
		ret = collect.ret;
	if (!ret)
		ret = settle(vm);
	if (!ret)
		ret = mf_vm_save_cpu(vm, &delta->state);
	if (ret) {
		mf_delta_finish(delta);
		return ret;
	}
	delta->cpu = compare_cpu(&delta->state, &vm->image->cpu);
	return 0;
}

void mf_delta_finish(struct mf_delta *delta)
{
	free(delta->pages);
	free(delta->bytes);
	memset(delta, 0, sizeof(*delta));
}

static const char *what_differs(unsigned int cpu)
{
	if (cpu & MF_DELTA_XSAVE)
		return "floating-point and vector registers";
	if (cpu & MF_DELTA_SREGS)
		return "segment or control registers";
	if (cpu & MF_DELTA_REGS)
		return "general registers";
	if (cpu & MF_DELTA_DEBUG)
		return "debug registers";
	return "pending events";
}

int mf_vm_audit(struct mf_vm *vm, size_t *pages, size_t *bytes, struct mf_error *err)
{
	struct mf_delta delta;
	int ret = mf_delta_take(vm, &delta);

	if (ret)
		return mf_error_set(err, ret, "the audit could not compute a delta: %s",
				    strerror(-ret));
	if (pages)
		*pages = delta.page_count;
	if (bytes)
		*bytes = delta.bytes_differing;
	if (delta.page_count)
		ret = mf_error_set(
			err, -EUCLEAN,
			"%zu pages (%zu bytes) differ from the image, the first is page %u (%s)",
			delta.page_count, delta.bytes_differing, delta.pages[0],
			delta.pages[0] < vm->mem.arena_bytes / MF_PAGE ? "engine's account"
								       : "guest memory");
	else if (delta.cpu)
		ret = mf_error_set(err, -EUCLEAN, "%s differ from the image",
				   what_differs(delta.cpu));
	mf_delta_finish(&delta);
	return ret;
}
