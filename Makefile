# hpvm: QEMU, kernels, the lab and the checks. "make help" says what there is.

MAKEFLAGS += --no-print-directory
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),all)),)
ifeq ($(wildcard build/config.mk),)
$(error Run ./configure first)
endif
endif
-include build/config.mk

all: qemu kernel kernel-stock bochs	## QEMU, both kernels of the lab and its emulator

bochs:				## the emulator of the vmx lab (BOCHS=PATH: use that one)
	@scripts/build-bochs

qemu:				## QEMU with the stack
	@scripts/build-qemu

qemu-stock:			## the same QEMU without it, to compare with
	@TREE=qemu-stock scripts/build-qemu

kernel:				## the lab's host kernel with the stack
	@scripts/build-kernel linux-hpvm linux-hpvm lab.config hpvm.config kunit.config

# Its tree begins as a copy of the other one's, objects and all; so does that of the selftests.
kernel-stock: kernel		## the same kernel without it, to compare with
	@scripts/build-kernel linux-stock linux-stock lab.config

selftests: kernel		## KVM's selftests for the lab, of Linux as it is and with the stack
	@scripts/build-selftests base
	@scripts/build-selftests hpvm

libvirt-image:			## a Debian with libvirtd, for the lab's scenarios of libvirt
	@scripts/build-libvirt-image

demo: all			## VM exits of a guest, stock and hpvm: the table and the chart (LAB=svm: an AMD host)
	@scripts/demo $(DEMO_ARGS)

bench-overhead: all		## what ordinary VMs pay: instructions per exit, both kernels
	@scripts/bench-overhead

bench: all			## instructions per timer, IPI, EOI...: bare metal, stock, hpvm
	@scripts/bench

bench-workloads: all		## VM exits under redis, nginx and others, by reason: stock, tuned, hpvm
	@scripts/bench-workloads

bench-isolation: all		## what a busy host does to a guest's CPU in a minute
	@scripts/bench-isolation

bench-irq: all			## what an assigned device's interrupt costs: bare metal, stock, hpvm
	@scripts/bench-irq

bench-migration: all		## what a migration takes: downtime, exits afterwards; stock, hpvm
	@scripts/bench-migration

bench-upgrade: all qemu-stock	## what it takes to replace QEMU under a guest: pause, exits afterwards; stock, hpvm
	@scripts/bench-upgrade

check: all selftests		## all tests that take minutes
	@scripts/check short

check-long: all qemu-stock selftests libvirt-image	## these and the ones that take hours
	@scripts/check long

patches:			## complete series for git am, in build/patches/
	@rm -rf build/patches.part && mkdir -p build/patches.part
	@scripts/stack series kernel build/patches.part/linux
	@scripts/stack series qemu build/patches.part/qemu
	@rm -rf build/patches && mv build/patches.part build/patches
	@echo "The series are in build/patches/linux and build/patches/qemu."

deb:				## Debian packages of QEMU and of the host's tools (DEB=tools: these alone)
	@scripts/build-packages $(DEB)

kernel-deb:			## Debian packages of a host kernel for a real machine (hours)
	@scripts/build-deb $(FLAVOUR)

clean:				## remove build/, but not the cache outside of the checkout
	rm -rf build

help:				## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

.PHONY: all bochs qemu qemu-stock kernel kernel-stock selftests libvirt-image demo bench bench-workloads bench-overhead bench-isolation bench-irq bench-migration bench-upgrade check check-long patches deb kernel-deb clean help
