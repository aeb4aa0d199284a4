"""Results of benchmarks: build/results/NAME.json, tables, and what was measured on what."""
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "lab"))
import image                                                    # noqa: E402
import svm                                                      # noqa: E402
import vmx                                                      # noqa: E402

LAB = os.environ.get("LAB") or "vmx"
if LAB not in ("vmx", "svm"):
    sys.exit(f"LAB={LAB}: there are vmx and svm")
HOST = {"vmx": vmx, "svm": svm}[LAB]
RESULTS = os.path.join(TOP, "build", "results")


def run_lab(scenarios, settings, lab=LAB, run=True):
    """Run the scenarios, or take what an earlier run has left; returns their results by name,
    and whether all went well.

    Their progress goes to standard error, so that standard output is the table's.
    """
    command = [os.path.join(TOP, "tests", "lab", "run"), "--lab", lab, *scenarios]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    status = subprocess.run(command, stdout=sys.stderr, check=False).returncode if run else 0
    results = {}
    for scenario in scenarios:
        directory = scenario if lab == "vmx" else f"{scenario}.{lab}"
        path = os.path.join(TOP, "build", "lab", directory, "result.json")
        try:
            with open(path, encoding="utf-8") as f:
                results[scenario] = json.load(f)
                status = status or results[scenario]["failed"]
        except FileNotFoundError:
            sys.exit(f"{scenario} was interrupted, or never run")
    return results, not status


def exit_reasons(config, lab=LAB):
    """The lab's exit reasons, number to name, as Linux spells them."""
    path = f"src/linux-base/arch/x86/include/uapi/asm/{lab}.h"
    with open(os.path.join(config.cache, path), encoding="utf-8") as f:
        found = re.findall(r"#define (?:EXIT_REASON|SVM_EXIT)_(\w+)\s+(\d\w*)\b", f.read())
    return {int(number, 0): name for name, number in found}


def versions(config):
    """QEMU, Linux and the emulator, as the result files name them."""
    with open(os.path.join(config.cache, "src/qemu-base/VERSION"), encoding="utf-8") as f:
        qemu = f.read().strip()
    with open(os.path.join(config.cache, "src/linux-base/Makefile"), encoding="utf-8") as f:
        head = f.read(2000)
    linux = ".".join(re.search(rf"^{part} = (\d+)", head, re.M)[1]
                     for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return {"qemu": qemu, "linux": linux, "emulator": HOST.version(config)}


# What of it spares stock KVM's guests exits, and how the host says it (host_has in lab.sh).
FEATURES = {"apicv": "APICv", "posted-interrupts": "posted interrupts",
            "pi_inject_timer": "pi_inject_timer", "avic": "AVIC"}


def stock_has(run):
    """The features that were on in the host of this run, one of stock KVM."""
    return run["data"]["host.has"].split()


def stock_said(run):
    """The same, for people."""
    return "stock KVM with " + (", ".join(FEATURES[f] for f in stock_has(run)) or
                                "neither APICv nor AVIC")


def row(metric, column, unit, value, **more):
    return {"metric": metric, "column": column, "unit": unit, "value": value, **more}


def path_of(name):
    """build/results/NAME; of another lab than vmx, NAME-LAB, before the suffix."""
    stem, suffix = os.path.splitext(name)
    return os.path.join(RESULTS, name if LAB == "vmx" else f"{stem}-{LAB}{suffix}")


def save(name, config, rows, stock=None, path=None):
    """Write build/results/NAME.json, or to the path; returns it. What is compared with ran
    in the run `stock`."""
    os.makedirs(RESULTS, exist_ok=True)
    path = path or path_of(name + ".json")
    document = {"name": name, "lab": LAB, **versions(config),
                **({"stock_has": stock_has(stock)} if stock else {}), "rows": rows}
    lines = json.dumps(document, indent=1)
    image.write(path, (lines + "\n").encode())
    return path


def table(lines, aligns=None):
    """Lines of cells as aligned text; a line that is a string stands as it is."""
    cells = [x for x in lines if not isinstance(x, str)]
    widths = [max(len(c[i]) for c in cells if i < len(c)) for i in range(max(map(len, cells)))]
    aligns = aligns or "<" + ">" * (len(widths) - 1)
    out = []
    for line in lines:
        if not isinstance(line, str):
            line = "  ".join(f"{c:{a}{w}}" for c, a, w in zip(line, aligns, widths)).rstrip()
        out.append(line)
    return "\n".join(out)


# What stopping a guest here and starting it there consists of: QEMU's phases, by what each ends
# with (report_phases in lab.sh).
PHASES = {"src-vm-stopped": "the source stops",
          "src-iterable-saved": "its last memory",
          "src-non-iterable-saved": "its devices",
          "src-downtime-end": "what is left is sent",
          "dst-precopy-loadvm-completed": "the destination loads them",
          "dst-precopy-bh-enter": "its main loop comes to it",
          "dst-precopy-bh-announced": "the guest's place is announced",
          "dst-precopy-bh-vm-started": "it starts"}


class Comparison:
    """A table of stock KVM and hpvm, and the same as rows of a result file."""

    COLUMNS = ("stock", "hpvm")

    def __init__(self):
        self.rows, self.lines = [], [["", "stock, tuned", "hpvm", "ratio"]]

    def add(self, metric, text, unit, data, key):
        """A line: the key of the data of each column."""
        values = [int(data[c][key]) for c in self.COLUMNS]
        self.lines.append([text, *(f"{n:,}" for n in values),
                           f"{values[1] / values[0]:.3f}" if values[0] else "-"])
        self.rows += [row(metric, c, unit, n) for c, n in zip(self.COLUMNS, values)]

    def add_phases(self, metric, data):
        """A line for each of PHASES."""
        for phase, end in PHASES.items():
            self.add(f"{metric}[{phase}]", f"  {end}", "instructions", data, f"phase.{phase}")
