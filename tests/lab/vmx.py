"""The vmx lab: an emulated Intel host in Bochs. It boots from an ISO."""
import os
import re
import shutil
import subprocess

import image

ISOLINUX = ("/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32")
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGA_BIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
NEEDS = ((BIOS, "apt-get install bochsbios"),
         (ISOLINUX[0], "apt-get install isolinux"),
         (ISOLINUX[1], "apt-get install syslinux-common"))
LOG = "bochs.log"
HOST = "Intel host"
# What the host lacks beside a real one, for the demo's table.
LACKS = "which has no APICv"

# hpvm_lab: use x2APIC and TSC deadline (kernel-patches/lab). idle=halt: Bochs
# loses wake-ups from MWAIT. nokaslr: the same addresses in every run.
CMDLINE = ("console=ttyS0,115200 quiet hpvm_lab idle=halt tsc=reliable nokaslr "
           "mitigations=off random.trust_cpu=on panic=0")

BOCHSRC = """\
display_library: term
romimage: file={bios}, options=fastboot
vgaromimage: file={vga_bios}
cpu: model=broadwell_ult, count=1:{cpus}:1, quantum=32, ips=100000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
clock: sync=none, time0=1700000000
ata0-master: type=cdrom, path=host.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=console.log
com2: enabled=1, mode=file, dev=results.log
vga: extension=vbe, update_freq=1
speaker: enabled=0
sound: waveoutdrv=dummy
log: bochs.log
panic: action=report
error: action=ignore
info: action=report
debug: action=ignore{debug}
"""


def program():
    return os.environ.get("BOCHS", "bochs-bin")


def command(_config, _scenario):
    """The emulator, run in the scenario's directory."""
    return [program(), "-q", "-f", "bochsrc", "-rc", "debugger.rc"]


def version(_config):
    """As result files name it."""
    said = subprocess.run([program(), "--help"], check=False, capture_output=True, text=True)
    found = re.search(r"Emulator (\S+)", said.stdout + said.stderr)
    return "bochs " + (found[1] if found else "of unknown version")


def make(config, scenario, settings, directory):
    """Everything Bochs needs to boot the scenario; returns the large files of it."""
    shared = image.base(config)
    tree = os.path.join(directory, "iso")
    iso = os.path.join(directory, "host.iso")
    os.makedirs(tree)
    for path in ISOLINUX:
        shutil.copy(path, tree)
    shutil.copy(config.kernel(scenario.kernel), os.path.join(tree, "linux"))
    os.link(shared, os.path.join(tree, "base"))
    image.write(os.path.join(tree, "scenario"), image.overlay(config, scenario, settings))
    cmdline = f"{CMDLINE} {scenario.cmdline}".strip()
    image.write(os.path.join(tree, "isolinux.cfg"),
                f"default linux\nprompt 0\nlabel linux\n kernel linux\n"
                f" append initrd=base,scenario {cmdline}\n".encode())
    with open(os.path.join(directory, "genisoimage.log"), "wb") as log:
        subprocess.run(["genisoimage", "-quiet", "-o", iso,
                        "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
                        "-boot-load-size", "4", "-boot-info-table", tree],
                       check=True, stdout=log, stderr=log)
    shutil.rmtree(tree)
    image.write(os.path.join(directory, "debugger.rc"), b"c\n")
    image.write(os.path.join(directory, "bochsrc"),
                BOCHSRC.format(bios=BIOS, vga_bios=VGA_BIOS, cpus=scenario.cpus,
                               memory=scenario.memory,
                               debug=f", cpu{scenario.witness}=report" if scenario.witness else ""
                               ).encode())
    return [iso]
