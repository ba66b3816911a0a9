#!/usr/bin/env python3
"""Writes the tables and plots of docs/performance.md from the newest files of benches/runs.   report.py [--check]

A table stands between `<!-- NAME -->` and `<!-- end -->`. With --check nothing is written, and what is not as it would be written is an
error.
"""
import os
import re
import sys

import plots
import record

ROOT = os.path.join(record.HERE, os.pardir, os.pardir)
PAGE = os.path.join(ROOT, "docs", "performance.md")
IMAGES = os.path.join(ROOT, "docs", "images")
CURVES = {
    "planes": ("How cost grows with planes", "planes"),
    "files": ("How cost grows with files", "files"),
    "chunks": ("How cost grows as chunks become small", "bytes of a chunk"),
    "threads": ("How cost falls with threads, on two cores", "threads"),
    "workers": ("How cost falls with workers of a cluster", "workers of one thread"),
}


def told(seconds):
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1e3:.0f} ms"


def of(found):
    """What a table's figures belong to."""
    machine, ours = found["machine"], found["microtome"]
    names = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{found['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, load "
        f"{machine['load']}; microtome {ours['version']} ({ours['commit']}); {names}."
    )


def workloads(rows, key="workload"):
    """Rows of each workload, in order."""
    groups = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def peers(found):
    """A line a workload: ours beside its limit and the best of the others."""
    out = ["| workload | limit | microtome | × limit | no sync | the fastest other | times ours | the others | peak: ours, least other |", "|---|---|---|---|---|---|---|---|---|"]
    for name, rows in workloads(found["rows"]).items():
        # What opens and ends at once is measured whole; libraries otherwise without their imports.
        time = "process_s" if name.startswith("open-") else "s"
        limits = [row["s"] for row in rows if row["program"].startswith("limit: ")]
        ours = next(row for row in rows if row["program"] == "microtome")
        free = next((row for row in rows if row["program"] == "microtome, no sync"), None)
        others = sorted((row for row in rows if not row["program"].startswith(("limit: ", "microtome"))), key=lambda row: row[time])
        best, beside = others[0], free or ours
        limit, ratio = (told(sum(limits)), f"{beside['s'] / sum(limits):.2f}") if limits else ("", "")
        rest = ", ".join(f"{row['program']} {told(row[time])}" for row in others[1:])
        lean = min(others, key=lambda row: row["peak_mb"])
        out.append(
            f"| {name} | {limit} | {told(ours[time])} | {ratio} | {told(free[time]) if free else ''} | {best['program']} {told(best[time])} "
            f"| {best[time] / beside[time]:.1f} | {rest} | {ours['peak_mb']:.0f} MB, {lean['peak_mb']:.0f} MB ({lean['program']}) |"
        )
    return "\n".join([*out, "", of(found)])


def decode(found):
    out = ["| file | ours, processor s | × bare codec | tifffile ÷ ours | libtiff ÷ ours | pixels |", "|---|---|---|---|---|---|"]
    for name, rows in workloads(found["rows"], "variant").items():
        took = {row["program"]: row["cpu_s"] for row in rows}
        ours = took["microtome"]
        ratios = [f"{ours / took['bare codec']:.2f}", *(f"{took[name] / ours:.2f}" for name in ("tifffile", "libtiff"))]
        out.append(f"| {name} | {ours:.3f} | {' | '.join(ratios)} | {rows[0]['pixels']} |")
    return "\n".join([*out, "", of(found)])


def forecast(found):
    rows = found["rows"]
    ratio = lambda row: row["took"] / row["seconds"]  # noqa: E731
    close = sum(0.75 <= ratio(row) <= 1.25 for row in rows)
    inside = sum(row["seconds_low"] <= row["took"] <= row["seconds_high"] for row in rows)
    out = [
        f"{close} of {len(rows)} runs within 25 % of what was said beforehand, {inside} within the interval that eight of ten should be in.",
        "",
        "| run | took ÷ said, of each | within 25 % |",
        "|---|---|---|",
    ]
    for kind, own in workloads(rows, "kind").items():
        each = ", ".join(f"{ratio(row):.2f}" for row in own)
        out.append(f"| {kind} | {each} | {sum(0.75 <= ratio(row) <= 1.25 for row in own)} of {len(own)} |")
    return "\n".join([*out, "", of(found)])


def scale(found):
    out = []
    for curve, rows in workloads(found["rows"], "curve").items():
        out += [f"![{describe(curve, rows)}](images/scale-{curve}.svg)", ""]
        out += ["| " + CURVES[curve][1] + " | what | seconds | each | peak |", "|---|---|---|---|---|"]
        for row in rows:
            peak = "simulated" if row.get("simulated") else f"{row['peak_mb']:.0f} MB"
            each = plots.seconds(row["s"] / row["x"]) if curve in ("planes", "files") else ""
            out.append(f"| {plots.amount(row['x'])} | {row['line']} | {row['s']:.3f} | {each} | {peak} |")
        out.append("")
    return "\n".join([*out, of(found)])


def describe(curve, rows):
    """The curve in words."""
    lines = [f"{name} from {told(own[0]['s'])} at {plots.amount(own[0]['x'])} to {told(own[-1]['s'])} at {plots.amount(own[-1]['x'])}" for name, own in workloads(rows, "line").items()]
    return f"{CURVES[curve][0]}: {'; '.join(lines)}"


def drawings(found):
    """File name and SVG of each curve."""
    for curve, rows in workloads(found["rows"], "curve").items():
        lines = []
        for name, own in workloads(rows, "line").items():
            for simulated in (False, True):
                points = [(row["x"], row["s"]) for row in own if row.get("simulated", False) == simulated]
                if points:
                    lines.append({"name": name, "points": points, "simulated": simulated})
        title, name_x = CURVES[curve]
        yield f"scale-{curve}.svg", plots.draw(title, describe(curve, rows), lines, name_x)


def pages():
    """Every file that follows from the runs, with its text."""
    with open(PAGE) as file:
        text = file.read()
    tables = {"peers": peers, "decode": decode, "forecast": forecast, "scale": scale}
    files = {}
    for name, render in tables.items():
        found = record.newest(name)
        if found is None:
            continue
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not between.search(text):
            raise SystemExit(f"docs/performance.md has no place for the table of {name}")
        table = render(found)
        text = between.sub(lambda place: place[1] + "\n" + table + "\n\n" + place[2], text)
        if name == "scale":
            files.update({os.path.join(IMAGES, file): svg for file, svg in drawings(found)})
    return {PAGE: text, **files}


def main(checks):
    stale = []
    for path, text in pages().items():
        is_there = os.path.exists(path)
        if is_there and open(path).read() == text:
            continue
        stale.append(os.path.relpath(path, ROOT))
        if not checks:
            with open(path, "w") as file:
                file.write(text)
    if checks and stale:
        raise SystemExit(f"not as benches/runs has it: {', '.join(stale)}; run `cargo xtask bench report`")
    return stale


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
