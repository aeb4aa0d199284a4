"""The svm lab: an emulated AMD host with an Intel IOMMU, in QEMU's TCG.

The emulator is the QEMU that is built for the host, too.
"""
import ctypes
import functools
import mmap
import os
import shutil
import time

import image

NEEDS = ()
LOG = "terminal.log"
EXIT_NMI = "97"                 # uapi/asm/svm.h
HOST = "AMD host"
MAX_HOSTS = 2                   # of a scenario
MODELS = {}                     # of the setting 'models'

# TCG lacks what is taken off here, and warns of each.
CPU = ("EPYC,+svm,+x2apic,-xsaves,-xsavec,-fxsr-opt,-misalignsse,-osvw,-topoext")

# The rate of the TSC is measured here and told: the host would measure it against
# clocks of the emulator, which stand still when that doesn't get its CPU, and KVM
# takes two results that differ for two rates. So there is no HPET and no PM timer
# to refine it with, either. The LAPIC timer's rate is QEMU's. And an event that comes late
# says nothing about the host's kernel.
CMDLINE = ("console=ttyS0,115200 loglevel=5 tsc=reliable tsc_early_khz={khz} lpj={lpj} pmtmr=0 "
           "hpvm_lab_lapic_khz=1000000 kvm.hpvm_late_ms=0 intel_iommu=on nokaslr mitigations=off "
           "random.trust_cpu=on panic=0 kunit.enable=0")
HZ = 250

# x2APIC mode takes one that remaps interrupts to 32-bit APIC IDs.
IOMMUS = {"intel": "intel-iommu,intremap=on,eim=on",
          "amd": "amd-iommu,intremap=on,xtsup=on"}


@functools.cache
def tsc_khz():
    """The rate of this machine's TSC, which is that of the emulated host's."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # rdtsc; shl $32, %rdx; or %rdx, %rax; ret
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(
        ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def both():
        """TSC and ns at one moment: the tightest of some tries."""
        tries = []
        for _ in range(50):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            ticks = rdtsc()
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            tries.append((after - before, ticks, (before + after) // 2))
        return min(tries)[1:]

    ticks, ns = both()
    time.sleep(0.3)
    ticks_later, ns_later = both()
    return round((ticks_later - ticks) * 1000000 / (ns_later - ns))


def cores(scenario):
    """How many cores the emulator keeps busy. Beside one whose time is real, that's all."""
    return 1 if scenario.exact else 2


def command(config, scenario):
    """The emulator, run in the scenario's directory."""
    # A nanosecond an instruction, all CPUs in turns: the TSC counts instructions.
    khz = 1000000 if scenario.exact else tsc_khz()
    how = (["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"] if scenario.exact
           else ["-accel", "tcg,thread=multi"])
    if scenario.bare:
        name, _, words = scenario.bare.partition(" ")
        boot = ["-kernel", os.path.join(config.work, name), "-append", words]
    else:
        cmdline = CMDLINE.format(khz=khz, lpj=khz * 1000 // HZ)
        if scenario.libvirt:
            cmdline += " rdinit=/sbin/init systemd.show_status=0 net.ifnames=0"
        boot = ["-kernel", config.kernel(scenario.kernel), "-initrd", "host.cpio",
                "-append", f"{cmdline} {scenario.cmdline}".strip()]
    return [config.qemu, "-L", os.path.join(config.work, "firmware"),
            "-nodefaults", "-no-user-config", "-display", "none",
            *how, "-M", "q35,kernel-irqchip=split,hpet=off",
            "-cpu", CPU, "-smp", scenario.cpus, "-m", scenario.memory,
            "-device", IOMMUS[scenario.iommu], *boot,
            "-chardev", "file,id=console,path=console.log", "-serial", "chardev:console",
            "-chardev", "file,id=results,path=results.log", "-serial", "chardev:results",
            *network(scenario.host), *scenario.devices.split()]


def network(host):
    """The card of one of two hosts, and the cable to the other's."""
    if not host:
        return []
    end = "on" if host == "a" else "off,reconnect-ms=100"
    return ["-netdev", f"stream,id=hosts,addr.type=unix,addr.path=../network,server={end}",
            "-device", f"virtio-net-pci,netdev=hosts,mac=52:54:00:00:00:0{host},"
            "host_mtu=16000,romfile="]


def version(config):
    """As result files name it."""
    with open(os.path.join(config.qemu_src, "VERSION"), encoding="utf-8") as f:
        return f"qemu {f.read().strip()} (tcg)"


def make(config, scenario, settings, directory):
    """Everything QEMU needs to boot the scenario; returns the large files of it."""
    shared = image.base(config)             # and the programs, of which one may be booted
    initrd = os.path.join(directory, "host.cpio")
    firmware = os.path.join(config.work, "firmware")
    with image.locked(os.path.join(config.work, "lock")):
        os.makedirs(firmware, exist_ok=True)
        for path in [*image.FIRMWARE, *image.option_roms(config)]:
            target = os.path.join(firmware, os.path.basename(path))
            if not image.newer(target, path):
                with open(path, "rb") as f:
                    image.write(target, f.read())
    if scenario.bare:
        return []
    shutil.copyfile(config.libvirt if scenario.libvirt else shared, initrd)
    with open(initrd, "ab") as f:
        f.write(image.overlay(config, scenario, settings))
    return [initrd]
