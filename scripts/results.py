"""Results of benchmarks: build/results/NAME.json, tables, and what was measured on what."""
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "lab"))
import image                                                    # noqa: E402

RESULTS = os.path.join(TOP, "build", "results")


def run_lab(scenarios, settings):
    """Run the scenarios; returns their results by name, and whether all went well.

    Their progress goes to standard error, so that standard output is the table's.
    """
    command = [os.path.join(TOP, "tests", "lab", "run"), *scenarios]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    results = {}
    for scenario in scenarios:
        path = os.path.join(TOP, "build", "lab", scenario, "result.json")
        try:
            with open(path, encoding="utf-8") as f:
                results[scenario] = json.load(f)
        except FileNotFoundError:
            sys.exit(f"{scenario} was interrupted")
    return results, status == 0


def exit_reasons(config):
    """VMX exit reasons, number to name, as Linux spells them."""
    path = os.path.join(config.cache, "src/linux-base/arch/x86/include/uapi/asm/vmx.h")
    with open(path, encoding="utf-8") as f:
        found = re.findall(r"#define EXIT_REASON_(\w+)\s+(\d+)", f.read())
    return {int(number): name for name, number in found}


def versions(config):
    """QEMU, Linux and Bochs, as the result files name them."""
    with open(os.path.join(config.cache, "src/qemu-base/VERSION"), encoding="utf-8") as f:
        qemu = f.read().strip()
    with open(os.path.join(config.cache, "src/linux-base/Makefile"), encoding="utf-8") as f:
        head = f.read(2000)
    linux = ".".join(re.search(rf"^{part} = (\d+)", head, re.M)[1]
                     for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    bochs = subprocess.run([os.environ.get("BOCHS", "bochs-bin"), "--help"], check=False,
                           capture_output=True, text=True)
    found = re.search(r"Emulator (\S+)", bochs.stdout + bochs.stderr)
    return {"qemu": qemu, "linux": linux,
            "emulator": "bochs " + (found[1] if found else "of unknown version")}


def row(metric, column, unit, value, **more):
    return {"metric": metric, "column": column, "unit": unit, "value": value, **more}


def save(name, config, rows):
    """Write build/results/NAME.json; returns its path."""
    os.makedirs(RESULTS, exist_ok=True)
    path = os.path.join(RESULTS, name + ".json")
    document = {"name": name, "lab": "vmx", **versions(config), "rows": rows}
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
