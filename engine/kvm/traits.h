/* SPDX-License-Identifier: MIT */
/*
 * The probe guest: a few pages of ring-3 code that find out how this KVM behaves. Called once by
 * mf_kvm_open, after `kvm->cpuid` and the CPU's own facts are known.
 */
#ifndef MF_ENGINE_KVM_TRAITS_H
#define MF_ENGINE_KVM_TRAITS_H

#include "engine/kvm/kvm.h"

int mf_traits_probe(struct mf_kvm *kvm, struct mf_error *err);

#endif
