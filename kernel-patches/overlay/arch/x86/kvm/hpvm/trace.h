/* SPDX-License-Identifier: GPL-2.0-only */
#if !defined(_TRACE_KVM_HPVM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_HPVM_H

#include <linux/tracepoint.h>

#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_hpvm

/* A vCPU's mode changes; @reasons are KVM_HPVM_REASON_*. */
DECLARE_EVENT_CLASS(kvm_hpvm_mode,
		    TP_PROTO(unsigned int vcpu_id, unsigned int pcpu, u64 reasons),
		    TP_ARGS(vcpu_id, pcpu, reasons),
		    TP_STRUCT__entry(__field(unsigned int, vcpu_id)
				     __field(unsigned int, pcpu)
				     __field(u64, reasons)),
		    TP_fast_assign(__entry->vcpu_id = vcpu_id;
				   __entry->pcpu = pcpu;
				   __entry->reasons = reasons;),
		    TP_printk("vcpu %u pcpu %u reasons 0x%llx", __entry->vcpu_id,
			      __entry->pcpu, __entry->reasons)
);

DEFINE_EVENT(kvm_hpvm_mode, kvm_hpvm_enter,
	     TP_PROTO(unsigned int vcpu_id, unsigned int pcpu, u64 reasons),
	     TP_ARGS(vcpu_id, pcpu, reasons)
);

/* The reasons are 0 when user space looks at the vCPU. */
DEFINE_EVENT(kvm_hpvm_mode, kvm_hpvm_leave,
	     TP_PROTO(unsigned int vcpu_id, unsigned int pcpu, u64 reasons),
	     TP_ARGS(vcpu_id, pcpu, reasons)
);

/* A VM is held, or let go, by others than its own user space: for what is left of @reasons. */
TRACE_EVENT(kvm_hpvm_hold,
	    TP_PROTO(pid_t pid, u64 reasons),
	    TP_ARGS(pid, reasons),
	    TP_STRUCT__entry(__field(pid_t, pid)
			     __field(u64, reasons)),
	    TP_fast_assign(__entry->pid = pid;
			   __entry->reasons = reasons;),
	    TP_printk("vm of pid %d reasons 0x%llx", __entry->pid, __entry->reasons)
);

/* The circuit breaker of a VM has tripped; @reason is one KVM_HPVM_REASON_BREAKER_*. */
TRACE_EVENT(kvm_hpvm_breaker,
	    TP_PROTO(pid_t pid, unsigned int vcpu_id, u64 reason),
	    TP_ARGS(pid, vcpu_id, reason),
	    TP_STRUCT__entry(__field(pid_t, pid)
			     __field(unsigned int, vcpu_id)
			     __field(u64, reason)),
	    TP_fast_assign(__entry->pid = pid;
			   __entry->vcpu_id = vcpu_id;
			   __entry->reason = reason;),
	    TP_printk("vm of pid %d vcpu %u reason 0x%llx", __entry->pid, __entry->vcpu_id,
		      __entry->reason)
);

/* An interrupt of the guest has arrived in the host. */
TRACE_EVENT(kvm_hpvm_stray,
	    TP_PROTO(unsigned int vcpu_id, u8 vector),
	    TP_ARGS(vcpu_id, vector),
	    TP_STRUCT__entry(__field(unsigned int, vcpu_id)
			     __field(u8, vector)),
	    TP_fast_assign(__entry->vcpu_id = vcpu_id;
			   __entry->vector = vector;),
	    TP_printk("vcpu %u vector %u", __entry->vcpu_id, __entry->vector)
);

#endif /* _TRACE_KVM_HPVM_H */

/* From where KVM's own headers are found. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH hpvm
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

/* This part must be outside protection */
#include <trace/define_trace.h>
