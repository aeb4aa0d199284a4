# shellcheck shell=sh
#: title   Linux's own KVM selftests on the patched kernel: the same results
#: kernel  hpvm
#: labs    vmx svm
#: timeout 600
#: memory  1024
#: groups  check
#: compare selftests-stock
#: files   {build}/selftests-base/x86_64/apic_bus_clock_test
#: files   {build}/selftests-base/x86_64/cpuid_test
#: files   {build}/selftests-base/x86_64/debug_regs
#: files   {build}/selftests-base/x86_64/fix_hypercall_test
#: files   {build}/selftests-base/x86_64/get_msr_index_features
#: files   {build}/selftests-base/x86_64/kvm_clock_test
#: files   {build}/selftests-base/x86_64/max_vcpuid_cap_test
#: files   {build}/selftests-base/x86_64/platform_info_test
#: files   {build}/selftests-base/x86_64/set_boot_cpu_id
#: files   {build}/selftests-base/x86_64/set_sregs_test
#: files   {build}/selftests-base/x86_64/smm_test
#: files   {build}/selftests-base/x86_64/state_test
#: files   {build}/selftests-base/x86_64/triple_fault_event_test
#: files   {build}/selftests-base/x86_64/tsc_msrs_test
#: files   {build}/selftests-base/x86_64/userspace_io_test
#: files   {build}/selftests-base/x86_64/userspace_msr_exit_test
#: files   {build}/selftests-base/x86_64/vmx_apic_access_test
#: files   {build}/selftests-base/x86_64/vmx_tsc_adjust_test
#: files   {build}/selftests-base/x86_64/xapic_state_test

run_selftests
