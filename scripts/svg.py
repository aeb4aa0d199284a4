"""Charts as self-contained SVG files: no script, no font, nothing to fetch."""
import math
from html import escape

COLOURS = ("#2563eb", "#f59e0b", "#10b981", "#a855f7", "#ef4444", "#64748b", "#0ea5e9")
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 190, 190, 30, 16, 92


def _text(x, y, text, size=14, anchor="start", fill="#1e293b", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}" font-weight="{weight}">{escape(text)}</text>')


def _bar(x, y, width, colour):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" '
            f'fill="{colour}"/>')


def _ceiling(value):
    """The next 'round' number, for the end of the axis."""
    step = 1
    while True:
        for n in (1, 2, 2.5, 3, 4, 5, 6, 8):
            if n * step >= value:
                return n * step
        step *= 10


def stacked_bars(path, title, bars, footer):
    """Horizontal bars, one for each (label, {part: count}, total, note) of bars."""
    sums = {}
    for _, parts, _, _ in bars:
        for part, n in parts.items():
            sums[part] = sums.get(part, 0) + n
    order = sorted(sums, key=lambda p: -sums[p])
    # More parts than colours: the rare ones share the last one.
    named = order if len(order) <= len(COLOURS) else order[:len(COLOURS) - 1]
    colours = dict(zip(named, COLOURS))
    limit = _ceiling(max([total for _, _, total, _ in bars] + [1]))
    plot = WIDTH - LEFT - RIGHT
    bottom = TOP + len(bars) * (BAR + GAP)
    height = bottom + 66
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif">',
           f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
           _text(24, 34, title, 19, weight="600")]
    x = 24
    for part in named + ([] if named == order else ["others"]):
        out += [f'<rect x="{x}" y="52" width="12" height="12" rx="2" '
                f'fill="{colours.get(part, COLOURS[-1])}"/>',
                _text(x + 18, 63, part, 13)]
        x += 34 + 8.2 * len(part)
    for i in range(5):
        x = LEFT + plot * i / 4
        out += [f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom - 4}" '
                f'stroke="#e2e8f0"/>',
                _text(x, bottom + 14, f"{limit * i / 4:,.0f}", 12, "middle", "#64748b")]
    for i, (label, parts, total, note) in enumerate(bars):
        y = TOP + i * (BAR + GAP)
        out.append(_text(LEFT - 12, y + 20, label, 14, "end"))
        x = LEFT
        for part in order:
            width = plot * parts.get(part, 0) / limit
            if width:
                out.append(_bar(x, y, width, colours.get(part, COLOURS[-1])))
                x += width
        out.append(_text(x + 8, y + 20, f"{total:,}", 14, weight="600"))
        out.append(_text(x + 16 + 8.4 * len(f"{total:,}"), y + 20, note, 13, fill="#64748b"))
    out += [_text(24, height - 16, footer, 12, fill="#64748b"), "</svg>"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


def grouped_bars(path, title, names, groups, footer):
    """Horizontal bars on a logarithmic axis: a group for each (label, values) of groups,
    with a value for each of names; None leaves the bar out."""
    bar, gap = 14, 14
    plot = WIDTH - LEFT - 90
    decades = 1
    while 10 ** decades < max(v for _, values in groups for v in values if v):
        decades += 1
    rows = [[(i, v) for i, v in enumerate(values) if v] for _, values in groups]
    bottom = TOP + sum(len(row) * bar + gap for row in rows)
    height = bottom + 66
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif">',
           f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
           _text(24, 34, title, 19, weight="600")]
    # Bare metal in grey: what the others are compared with.
    colours = (COLOURS[5], COLOURS[4], COLOURS[1], COLOURS[3], COLOURS[0])
    x = 24
    for colour, name in zip(colours, names):
        out += [f'<rect x="{x}" y="52" width="12" height="12" rx="2" fill="{colour}"/>',
                _text(x + 18, 63, name, 13)]
        x += 40 + 7.6 * len(name)
    for i in range(decades + 1):
        x = LEFT + plot * i / decades
        out += [f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom - 4}" '
                f'stroke="#e2e8f0"/>',
                _text(x, bottom + 14, f"{10 ** i:,}", 12, "middle", "#64748b")]
    y = TOP
    for (label, _), row in zip(groups, rows):
        out.append(_text(LEFT - 12, y + len(row) * bar / 2 + 5, label, 14, "end"))
        for i, value in row:
            width = max(plot * math.log10(value) / decades, 1)
            out += [f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{bar - 2}" '
                    f'fill="{colours[i]}"/>',
                    _text(LEFT + width + 6, y + bar - 4, f"{value:,}", 11, fill="#475569")]
            y += bar
        y += gap
    out += [_text(24, height - 16, footer, 12, fill="#64748b"), "</svg>"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")
