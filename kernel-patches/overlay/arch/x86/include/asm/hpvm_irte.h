/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ASM_X86_HPVM_IRTE_H
#define _ASM_X86_HPVM_IRTE_H

/*
 * A request to irq_set_vcpu_affinity(): let the interrupt-remapping table entry
 * (IRTE) of an interrupt name a guest's vector and a CPU's local APIC, or give the
 * entry back to the host.  The chips take other types through the same pointer;
 * bit 0 tells this one from them.
 */

#include <linux/types.h>

/**
 * struct hpvm_irte - what the IRTE of an MSI is to be
 * @guest:	remap to @vector and @apicid; else as the host has it
 * @vector:	32 or more
 * @apicid:	x2APIC ID, physical destination mode
 *
 * The interrupt is fixed and edge-triggered; the source-id check stays as it is.
 * The change is atomic for the device, and done when the call returns: an interrupt
 * that is raised later goes the new way.  While @guest, the host's affinity for the
 * interrupt is remembered, and has no effect.
 */
struct hpvm_irte {
	bool guest;
	u8 vector;
	u32 apicid;
};

#define HPVM_IRTE_TAG	1UL

/* For irq_set_vcpu_affinity(). */
static inline void *hpvm_irte_to_info(const struct hpvm_irte *irte)
{
	return (void *)((unsigned long)irte | HPVM_IRTE_TAG);
}

/* The request in @info, or NULL if it's of another type. */
static inline const struct hpvm_irte *hpvm_irte_of_info(void *info)
{
	if (!IS_ENABLED(CONFIG_KVM_HPVM) || !((unsigned long)info & HPVM_IRTE_TAG))
		return NULL;
	return (void *)((unsigned long)info & ~HPVM_IRTE_TAG);
}

#endif /* _ASM_X86_HPVM_IRTE_H */
