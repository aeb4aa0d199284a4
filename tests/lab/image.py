"""What all emulated hosts boot: an initramfs, of a shared part and a scenario's own."""
import argparse
import contextlib
import ctypes
import fcntl
import glob
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIRMWARE = ("/usr/share/seabios/bios-256k.bin",)
CYCLICTEST = "/usr/bin/cyclictest"
# Of the packages in loads.lock, for the loads of tests/guest/loads.c.
LOADS = ("usr/bin/redis-server", "usr/bin/redis-benchmark", "usr/sbin/nginx", "usr/bin/wrk",
         "usr/bin/ab", "usr/bin/iperf3", "bin/dash")
LOADS_DATA = ("usr/share/nginx/html/index.html",)
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LOADER = "lib64/ld-linux-x86-64.so.2"


def count(text):
    """A command-line argument: a whole number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: want a whole number above 0")
    return int(text)


class Config:
    """Where the inputs are: build/config.mk of ./configure, else the defaults."""

    def __init__(self):
        self.top = os.path.dirname(os.path.dirname(HERE))
        values = {}
        try:
            with open(os.path.join(self.top, "build", "config.mk"), encoding="utf-8") as f:
                for line in f:
                    m = re.match(r"\s*(\w+)\s*:?=\s*(.*?)\s*$", line)
                    if m:
                        values[m[1]] = m[2].strip("'\"")
        except FileNotFoundError:
            pass
        xdg = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        self.cache = (os.environ.get("HPVM_CACHE") or values.get("CACHE")
                      or os.path.join(xdg, "hpvm"))
        self.guest = values.get("GUEST_DEB")
        self.build = os.path.join(self.cache, "build")
        self.qemu_build = os.path.join(self.build, "qemu-hpvm")
        self.qemu = os.path.join(self.qemu_build, "qemu-system-x86_64")
        self.upgrade = os.path.join(self.qemu_build, "contrib/hpvm-upgrade/hpvm-upgrade")
        self.qemu_src = os.path.join(self.cache, "src", "qemu-base")
        self.libvirt = os.path.join(self.build, "libvirt", "root.cpio")
        self.work = os.path.join(self.top, "build", "lab-image")

    def kernel(self, name):
        return os.path.join(self.build, "linux-" + name, "arch/x86/boot/bzImage")

    def guest_deb(self):
        """Debian's package of the guest kernel, as configure fetched it; or None."""
        pattern = os.path.join(self.cache, "dl", "linux-image-[0-9]*-cloud-amd64_*_amd64.deb")
        found = [self.guest] if self.guest else sorted(glob.glob(pattern))
        return found[-1] if found and os.path.exists(found[-1]) else None

    def loads_debs(self):
        """The packages of loads.lock, as configure fetched them; or an empty list."""
        try:
            with open(os.path.join(self.top, "build", "loads.debs"), encoding="utf-8") as f:
                found = f.read().split()
        except FileNotFoundError:
            return []
        return found if all(os.path.exists(path) for path in found) else []


def die_with_parent():
    """In a new child: end with the runner, even when that is killed by SIGKILL."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def missing_inputs(config, scenario, needs):
    """A sentence about what is missing to run the scenario in a lab, or None."""
    needed = [*needs]
    if not scenario.bare:
        needed += [(config.kernel(scenario.kernel), "make kernel"),
                   (config.qemu, "make qemu"), (config.upgrade, "make qemu"),
                   ("/bin/busybox", "apt-get install busybox-static"),
                   (CYCLICTEST, "apt-get install rt-tests"),
                   (FIRMWARE[0], "apt-get install seabios")]
    if scenario.libvirt:
        needed.append((config.libvirt, "make libvirt-image"))
    for path, way in needed:
        if not os.path.exists(path):
            return f"{path} is missing; '{way}' makes it"
    if not scenario.bare and not config.guest_deb():
        return f"the guest kernel's package is not in {config.cache}; './configure' fetches it"
    if scenario.loads and not config.loads_debs():
        return f"the loads' packages are not in {config.cache}; './configure' fetches them"
    return None


class Cpio:
    """A cpio archive in the format that the kernel unpacks ('newc')."""

    def __init__(self):
        self.parts, self.seen, self.ino = [], set(), 0

    def _entry(self, name, mode, data, rdev=(0, 0), owner=(0, 0)):
        self.ino += 1
        raw = name.encode() + b"\0"
        fields = (self.ino, mode, *owner, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self.parts.append(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def directory(self, name):
        if name and name not in self.seen:
            self.directory(os.path.dirname(name))
            self.seen.add(name)
            self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, data, mode=0o644):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def copy(self, name, path, mode=0o755):
        with open(path, "rb") as f:
            self.file(name, f.read(), mode)

    def program(self, name, path):
        """A copy without its symbols, if it has any: each byte costs the emulator time."""
        with open(path, "rb") as f:
            if f.read(4) != b"\x7fELF":
                self.copy(name, path)
                return
        with tempfile.NamedTemporaryFile() as stripped:
            # A module is linked when it's loaded: it needs its symbols.
            how = "--strip-debug" if path.endswith(".ko") else "--strip-all"
            subprocess.run(["strip", how, "-o", stripped.name, path], check=True)
            self.copy(name, stripped.name)

    def link(self, name, target):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def member(self, name, info, data):
        """One of a tar archive, a hard link as a file of its own."""
        kind = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK,
                tarfile.CHRTYPE: stat.S_IFCHR}.get(info.type, stat.S_IFREG)
        rdev = (info.devmajor, info.devminor) if kind == stat.S_IFCHR else (0, 0)
        self._entry(name, kind | info.mode, data, rdev, (info.uid, info.gid))

    def bytes(self):
        self._entry("TRAILER!!!", 0, b"")
        self.ino, blob = 0, b"".join(self.parts)
        return blob + b"\0" * (-len(blob) % 512)


def newer(target, *sources):
    """True when the target exists and is newer than all of the sources."""
    try:
        made = os.stat(target).st_mtime_ns
    except FileNotFoundError:
        return False
    return all(os.stat(s).st_mtime_ns < made for s in sources)


def write(path, data):
    """Write the file in one step, so that an interrupted run leaves none half done."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as f:
        f.write(data)
    os.chmod(f.name, 0o644)
    os.replace(f.name, path)


def libraries(binary):
    """The shared libraries that the binary loads, and the loader."""
    out = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", out)


def guest_programs(config):
    """Compile tests/guest; returns the directory of the results."""
    subprocess.run(["make", "-s", "-C", os.path.join(config.top, "tests", "guest"),
                    "O=" + config.work], check=True)
    return config.work


def option_roms(config):
    """QEMU's own firmware for -kernel. Its configure leaves it out where the compiler
    has no 32-bit libraries, which it doesn't need."""
    source = os.path.join(config.qemu_src, "pc-bios", "optionrom")
    target = os.path.join(config.work, "optionrom")
    os.makedirs(target, exist_ok=True)
    write(os.path.join(target, "config.mak"),
          f"TOPSRC_DIR = {config.qemu_src}\nCC = gcc\nOBJCOPY = objcopy\n"
          "PYTHON = /usr/bin/python3\n".encode())
    subprocess.run(["make", "-s", "-C", target, "-f", os.path.join(source, "Makefile")],
                   check=True, stdout=subprocess.DEVNULL)
    return sorted(glob.glob(os.path.join(target, "*.bin")))


def guest_kernel(config):
    """The guest's kernel, taken unchanged out of Debian's package."""
    deb, target = config.guest_deb(), os.path.join(config.work, "vmlinuz")
    if not newer(target, deb):
        with tempfile.TemporaryDirectory(dir=config.work) as scratch:
            subprocess.run(["dpkg-deb", "-x", deb, scratch], check=True)
            found = glob.glob(os.path.join(scratch, "boot", "vmlinuz-*"))
            with open(found[0], "rb") as f:
                write(target, f.read())
    return target


def guest_initrd(config):
    """The guest's initramfs: our init and a console."""
    target, init = os.path.join(config.work, "guest.cpio"), os.path.join(config.work, "init")
    if not newer(target, init):
        cpio = Cpio()
        cpio.device("dev/console", 5, 1)
        for directory in ("proc", "sys"):
            cpio.directory(directory)
        cpio.copy("init", init)
        write(target, cpio.bytes())
    return target


def guest_modules(config, names):
    """Modules of the guest's kernel as an initramfs, to go after guest_initrd(); and a list
    of them in this order, which is that in which they're loaded."""
    cpio, found = Cpio(), {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", config.guest_deb()],
                          stdout=subprocess.PIPE) as unpack, \
            tarfile.open(fileobj=unpack.stdout, mode="r|") as tar:
        for member in tar:
            name, suffix = os.path.splitext(os.path.basename(member.name))
            if suffix == ".ko" and name in names:
                found[name] = tar.extractfile(member).read()
    for name in names:
        cpio.file(f"modules/{name}.ko", found[name])
    cpio.file("modules/list", "".join(f"/modules/{name}.ko\n" for name in names).encode())
    return cpio.bytes()


def needed(tree, path):
    """The libraries that a program or library in the tree asks for, as paths in it."""
    out = subprocess.run(["readelf", "-d", os.path.join(tree, path)], check=True,
                         capture_output=True, text=True).stdout
    found = []
    for name in re.findall(r"\(NEEDED\) .*\[(.*)\]", out):
        where = [os.path.join(d, name) for d in LIBRARIES]
        found += [p for p in where if os.path.exists(os.path.join(tree, p))][:1]
        if not any(p in found for p in where):
            raise FileNotFoundError(f"{path} needs {name}, which no package in loads.lock has")
    return found


def loads(config):
    """Debian's own programs for the guest's loads, as an initramfs to go after guest_initrd():
    unchanged, from their packages, with the libraries that they need."""
    target = os.path.join(config.work, "loads.cpio")
    conf = os.path.join(config.top, "tests", "guest", "nginx.conf")
    listed = os.path.join(config.top, "build", "loads.debs")
    with locked(os.path.join(config.work, "lock")):
        if newer(target, listed, conf, __file__):
            return target
        cpio, seen, todo = Cpio(), set(), list(LOADS)
        with tempfile.TemporaryDirectory(dir=config.work) as tree:
            for deb in config.loads_debs():
                subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
            while todo:
                path = todo.pop()
                if path not in seen:
                    seen.add(path)
                    todo += needed(tree, path)
            for path in [*sorted(seen), *LOADS_DATA]:
                cpio.copy(path, os.path.realpath(os.path.join(tree, path)))
            cpio.copy(LOADER, os.path.realpath(os.path.join(tree, LIBRARIES[0],
                                                            os.path.basename(LOADER))))
        cpio.copy("etc/nginx.conf", conf, 0o644)
        cpio.file("etc/passwd", b"root:x:0:0:root:/:/bin/dash\n")
        cpio.file("etc/group", b"root:x:0:\n")
        for directory in ("run", "tmp", "var/lib/nginx", "var/log/nginx"):
            cpio.directory(directory)
        write(target, cpio.bytes())
        return target


@contextlib.contextmanager
def locked(path, wait=True):
    """Hold a lock file, against other threads and other runners alike."""
    with open(path, "w", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def base(config):
    """The part of the initramfs that all scenarios share; made when an input changed."""
    os.makedirs(config.work, exist_ok=True)
    with locked(os.path.join(config.work, "lock")):
        programs = guest_programs(config)
        target = os.path.join(config.work, "base.cpio")
        roms = option_roms(config)
        kernels = sorted(glob.glob(os.path.join(programs, "*.elf")))
        scripts = [os.path.join(config.top, "scripts", name)
                   for name in ("hpvm-status", "hpvm-verify")]
        tools = [os.path.join(programs, name) for name in ("kexec", "broadcast", "memlock", "irqfd")]
        inputs = [config.qemu, config.upgrade, *scripts, *tools, guest_kernel(config),
                  guest_initrd(config), *kernels, *roms, *FIRMWARE, __file__]
        if newer(target, *inputs):
            return target
        cpio = Cpio()
        for directory in ("proc", "sys", "dev", "tmp", "run", "root", "etc", "mnt"):
            cpio.directory(directory)
        cpio.device("dev/console", 5, 1)
        cpio.device("dev/null", 1, 3)
        cpio.copy("bin/busybox", "/bin/busybox")
        applets = subprocess.run(["/bin/busybox", "--list"], check=True,
                                 capture_output=True, text=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                cpio.link("bin/" + applet, "busybox")
        cpio.program("bin/qemu", config.qemu)
        cpio.program("bin/hpvm-upgrade", config.upgrade)
        for script in scripts:
            cpio.copy("bin/" + os.path.basename(script), script)
        for tool in tools:
            cpio.copy("bin/" + os.path.basename(tool), tool)
        cpio.program("bin/cyclictest", CYCLICTEST)
        for library in sorted({*libraries(config.qemu), *libraries(CYCLICTEST)}):
            cpio.copy(library.lstrip("/"), os.path.realpath(library))
        for rom in [*FIRMWARE, *roms]:
            cpio.copy("share/" + os.path.basename(rom), rom)
        guests(config, cpio)
        write(target, cpio.bytes())
        return target


def guests(config, cpio):
    """What QEMU boots as guests: Debian's kernel, and tests/guest's own ones."""
    cpio.copy("guest/vmlinuz", guest_kernel(config))
    cpio.copy("guest/initrd", guest_initrd(config))
    for kernel in sorted(glob.glob(os.path.join(config.work, "*.elf"))):
        cpio.copy("guest/" + os.path.basename(kernel), kernel)


def libvirt_host(config, scenario, cpio):
    """What a Debian with libvirtd lacks to be a host of the lab. Its init starts ours."""
    name = scenario.host or "host"
    cpio.program("usr/bin/qemu-system-x86_64-hpvm", config.qemu)
    cpio.copy("usr/sbin/hpvm-status", os.path.join(config.top, "scripts", "hpvm-status"))
    for rom in [*FIRMWARE, *option_roms(config)]:
        cpio.copy("usr/share/qemu/" + os.path.basename(rom), rom, 0o644)
    guests(config, cpio)
    cpio.copy("etc/systemd/system/lab.service", os.path.join(HERE, "l1", "lab.service"), 0o644)
    cpio.link("etc/systemd/system/multi-user.target.wants/lab.service", "../lab.service")
    cpio.file("etc/machine-id", f"{name.encode().hex():0<32}\n".encode())
    cpio.file("etc/hostname", f"{name}\n".encode())


def overlay(config, scenario, settings):
    """What differs from scenario to scenario: scripts, settings, extra files."""
    cpio = Cpio()
    cpio.copy("init", os.path.join(HERE, "l1", "init"))
    cpio.copy("lab.sh", os.path.join(HERE, "l1", "lab.sh"))
    cpio.copy("scenario.sh", scenario.path)
    lines = [f"{name}={shlex.quote(value)}\n"
             for name, _, value in (s.partition("=") for s in settings)]
    cpio.file("settings", "".join(lines).encode())
    if scenario.libvirt:
        libvirt_host(config, scenario, cpio)
    if scenario.modules:
        cpio.file("guest/modules", guest_modules(config, scenario.modules.split()))
    if scenario.loads:
        cpio.copy("guest/loads", loads(config), 0o644)
    for pattern in scenario.files.split():
        pattern = pattern.format(cache=config.cache, build=config.build, top=config.top)
        found = [p for p in sorted(glob.glob(pattern)) if os.path.isfile(p)]
        if not found:
            raise FileNotFoundError(f"{scenario.name} wants {pattern}, which is not there")
        for path in found:
            cpio.program("files/" + os.path.basename(path), path)
    return cpio.bytes()
