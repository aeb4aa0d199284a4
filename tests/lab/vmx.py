"""The vmx lab: an emulated Intel host in Bochs. It boots from an ISO."""
import functools
import os
import re
import shutil
import subprocess
import sys

import image

SYSLINUX = "/usr/lib/syslinux/modules/bios/"
ISOLINUX = ("/usr/lib/ISOLINUX/isolinux.bin", SYSLINUX + "ldlinux.c32")
MULTIBOOT = (SYSLINUX + "mboot.c32", SYSLINUX + "libcom32.c32")
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGA_BIOS = "/usr/share/vgabios/vgabios.bin"
NEEDS = ((BIOS, "apt-get install bochsbios"),
         (VGA_BIOS, "apt-get install vgabios"),
         (ISOLINUX[0], "apt-get install isolinux"),
         (ISOLINUX[1], "apt-get install syslinux-common"))
LOG = "bochs.log"
EXIT_NMI = "0"                  # uapi/asm/vmx.h
HOST = "Intel host"
MAX_HOSTS = 1                   # of a scenario
# The setting 'models': the first one is the usual host's. The older one is a host
# without APICv.
MODELS = {"skylake": "corei7_skylake_x", "broadwell": "broadwell_ult"}

# hpvm_lab: use x2APIC and TSC deadline (kernel-patches/lab). The TSC's rate is ips below,
# and HZ is 250; measured twice it's two rates to KVM, and so there is no clock to measure
# it with, as in the svm lab. nokaslr: the same addresses in every run.
CMDLINE = ("console=ttyS0,115200 loglevel=5 hpvm_lab nokaslr "
           "tsc=reliable tsc_early_khz=100000 lpj=400000 hpet=disable pmtmr=0 "
           "mitigations=off random.trust_cpu=on panic=0 kunit.enable=0")

BOCHSRC = """\
display_library: nogui
romimage: file={bios}, options=fastboot
vgaromimage: file={vga_bios}
cpu: model={model}, count={packages}:{cores}:{threads}, quantum=32, ips=100000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
clock: sync=none, time0=1700000000
ata0-master: type=cdrom, path=host.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=console.log
com2: enabled=1, mode=file, dev=results.log
vga: extension=vbe, update_freq=1
log: bochs.log
panic: action=report
error: action=ignore{witness}
info: action=report
debug: action=ignore
"""

def says(path, *arguments):
    """What Bochs prints."""
    said = subprocess.run([path, *arguments], check=False, capture_output=True, text=True,
                          timeout=20, stdin=subprocess.DEVNULL)
    return said.stdout + said.stderr


@functools.cache
def program(config):
    """The path of the Bochs to use; ends with a sentence when it can't be used."""
    name = os.environ.get("BOCHS") or os.path.join(config.build, "bochs", "bochs")
    path = shutil.which(name)
    if not path:
        sys.exit(f"{name}: there is no such program; 'make bochs' builds it, or name another "
                 "Bochs with BOCHS=path")
    try:
        if "Bochs" not in says(path, "--help"):
            sys.exit(f"{name} is not Bochs")
        for model in MODELS.values():
            if model not in says(path, "--help", "cpu").split():
                sys.exit(f"{name} has no CPU model {model}; configure it as scripts/build-bochs "
                         "does")
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"{name} can't be run: {error}")
    return os.path.abspath(path)


def cores(_scenario):
    """How many cores the emulator keeps busy."""
    return 1


def command(config, _scenario):
    """The emulator, run in the scenario's directory."""
    return [program(config), "-q", "-f", "bochsrc"]


def version(config):
    """As result files name it."""
    found = re.search(r"Emulator (\S+)", says(program(config), "--help"))
    return "bochs " + (found[1] if found else "of unknown version")


def bare_tree(config, scenario, tree):
    """What boots a guest's program as the machine's own kernel."""
    name, _, words = scenario.bare.partition(" ")
    os.makedirs(config.work, exist_ok=True)
    with image.locked(os.path.join(config.work, "lock")):
        shutil.copy(os.path.join(image.guest_programs(config), name), tree)
    for path in MULTIBOOT:
        shutil.copy(path, tree)
    return f"kernel mboot.c32\n append {name} {words}"


def host_tree(config, scenario, settings, tree):
    """The host's kernel and initramfs."""
    os.link(image.base(config), os.path.join(tree, "base"))
    shutil.copy(config.kernel(scenario.kernel), os.path.join(tree, "linux"))
    image.write(os.path.join(tree, "scenario"), image.overlay(config, scenario, settings))
    return f"kernel linux\n append initrd=base,scenario {CMDLINE} {scenario.cmdline}".rstrip()


def make(config, scenario, settings, directory):
    """Everything Bochs needs to boot the scenario; returns the large files of it."""
    tree = os.path.join(directory, "iso")
    iso = os.path.join(directory, "host.iso")
    os.makedirs(tree)
    for path in ISOLINUX:
        shutil.copy(path, tree)
    boot = (bare_tree(config, scenario, tree) if scenario.bare
            else host_tree(config, scenario, settings, tree))
    image.write(os.path.join(tree, "isolinux.cfg"),
                f"default lab\nprompt 0\nlabel lab\n {boot}\n".encode())
    with open(os.path.join(directory, "genisoimage.log"), "wb") as log:
        subprocess.run(["genisoimage", "-quiet", "-o", iso,
                        "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot",
                        "-boot-load-size", "4", "-boot-info-table", tree],
                       check=True, stdout=log, stderr=log)
    shutil.rmtree(tree)
    threads = int(scenario.threads)
    cores = int(scenario.cpus) // threads
    # Bochs takes at most 8 cores of one package.
    packages = next(n for n in range(1, cores + 1) if cores % n == 0 and cores // n <= 8)
    witness = "".join(f", cpu{n}=report" for n in scenario.witness.split())
    image.write(os.path.join(directory, "bochsrc"),
                BOCHSRC.format(model=MODELS[scenario.model], bios=BIOS, vga_bios=VGA_BIOS,
                               packages=packages, cores=cores // packages, threads=threads,
                               memory=scenario.memory, witness=witness).encode())
    return [iso]
