/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

int mf_verb_doctor(int argc, char **argv)
{
	struct mf_kvm kvm;
	struct mf_error err = {0};
	struct rlimit files;

	if (argc > 1) {
		puts("usage: mayfly doctor\n\nSay what this host's KVM can do, and how to mend "
		     "what it cannot.");
		return argv[1][0] == '-' && (argv[1][1] == 'h' || argv[1][1] == '-')
			       ? 0
			       : MF_STATUS_FAILED;
	}
	if (mf_kvm_open(&kvm, NULL, &err))
		return mf_cli_fail("doctor", &err);
	getrlimit(RLIMIT_NOFILE, &files);
	printf("KVM family                  %s\n", mf_family_name(kvm.traits.family));
	printf("vector state (XCR0)         0x%" PRIx64 "\n", kvm.traits.xcr0);
	printf("TSS type for ring-3 I/O     %u\n", kvm.traits.tss_type);
	printf("host table edits are seen   %s\n", yes(kvm.traits.host_edits_seen));
	printf("vCPU statistics             %s\n", yes(kvm.traits.binary_stats));
	printf("page-map scan               %s\n", yes(kvm.traits.pagemap_scan));
	printf("huge pages on request       %s\n",
	       kvm.traits.huge_pages
		       ? "yes"
		       : "no (mayfly run is slower with much memory; mend: echo madvise "
			 ">/sys/kernel/mm/transparent_hugepage/enabled)");
	printf("guest TSC equals the host's %s\n", yes(kvm.traits.tsc_offset));
	printf("MSR filter                  %s\n", yes(kvm.traits.msr_filter));
	printf("Landlock ABI                %d%s\n", mf_confine_landlock_abi(),
	       mf_confine_landlock_abi() ? "" : " (none: file permissions rest on openat2 alone)");
	printf("file descriptors            %" PRIu64 " (room for some %" PRIu64 " VMs)\n",
	       (uint64_t)files.rlim_max, (uint64_t)files.rlim_max / 3);
	mf_kvm_close(&kvm);
	return 0;
}
