#!/usr/bin/env python3
"""How cost grows: with planes, files, the size of chunks, threads, and workers of a cluster.

scale.py --data FOLDER --microtome BINARY --scheduling BINARY [--only 'planes,threads'] [--runs 3]

Each point is the median of some runs of the release binary; results go to benches/runs, and report.py draws them. What does not
fit here is simulated, and marked so: planes beyond a million by tasks that do nothing (the benchmark `scheduling`), workers
beyond four by a model whose figures are measured here (`simulated_workers`).
"""
import argparse
import fnmatch
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys

import cluster
import record
import run


def pages(path, count, edge=8):
    """A little-endian BigTIFF of `count` pages of edge × edge, 16 bit: directories one behind the other, then pixels."""
    import numpy

    if os.path.exists(path):
        return path
    entries = [(256, 4, edge), (257, 4, edge), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 16, 0), (277, 3, 1), (278, 4, edge), (279, 16, edge * edge * 2)]
    one = struct.pack("<Q", len(entries)) + b"".join(struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in entries)
    one += struct.pack("<Q", 0)
    table = numpy.tile(numpy.frombuffer(one, "u1"), (count, 1))
    at = 8 + 20 * 5 + 12
    bytes_of_page, first = edge * edge * 2, 16 + len(one) * count
    table[:, at : at + 8] = (first + bytes_of_page * numpy.arange(count, dtype="<u8"))[:, None].view("u1")
    follows = 16 + len(one) * numpy.arange(1, count + 1, dtype="<u8")
    follows[-1] = 0
    table[:, -8:] = follows[:, None].view("u1")
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16))
        file.write(table)
        numpy.random.default_rng(1).integers(0, 999, (count, edge, edge)).astype("<u2").tofile(file)
    os.rename(path + ".part", path)
    return path


def median_of(options, line, runs=None):
    """Seconds, processor seconds and peak of a command; outputs are removed before each run."""
    took = []
    for _ in range((runs or options.runs) + 1):
        for place in (word for word in line if word.startswith(options.scratch)):
            run.remove(place)
        took.append(run.measure(line, {**os.environ, "MICROTOME_PYTHON": options.python}))
    middle = {key: statistics.median(each[key] for each in took[1:]) for key in ("wall", "cpu", "peak")}
    return {"s": round(middle["wall"], 4), "cpu_s": round(middle["cpu"], 3), "peak_mb": round(middle["peak"] / 1e6, 1)}


def words(options, text, **places):
    out = os.path.join(options.scratch, "out")
    return [word.format(microtome=options.microtome, data=options.data, out=out, **places) for word in text.split(" ")]


# ------------------------------------------------------------------------------------------------ the curves
def planes(options):
    """Opening and counting; reading each plane of 8 × 8 pixels; tasks that do nothing."""
    rows = []
    for count in (100, 1_000, 10_000, 100_000, 1_000_000):
        path = pages(os.path.join(options.data, f"scale-{count}.tif"), count)
        found = {
            "open": words(options, "{microtome} inspect {path} --json", path=path),
            "maximum": words(options, "{microtome} project {path} {out}.ome.tif --axis t --durability none --quiet", path=path),
        }
        for what, line in found.items():
            rows.append({"curve": "planes", "line": what, "x": count, **median_of(options, line)})
    for count, name in ((1_000_000, "1e6"), (10_000_000, "1e7"), (100_000_000, "1e8")):
        told = subprocess.run([options.scheduling, f"tasks-fused-{name}", "--runs", "1"], stdout=subprocess.PIPE, text=True, check=True)
        line = next(line for line in told.stdout.splitlines() if line.startswith("tasks-fused"))
        numbers = [float(number) for number in re.findall(r"[\d.]+", line.removeprefix(f"tasks-fused-{name}"))]
        rows.append({"curve": "planes", "line": "tasks that do nothing", "x": count, "s": numbers[0], "simulated": True})
    return rows


def files(options):
    """Images of 5 planes of 512², opened and measured."""
    rows, many = [], os.path.join(options.data, "many200")
    names = sorted(os.listdir(many))
    for count in (1, 10, 100, 1_000, 10_000):
        folder = os.path.join(options.data, f"scale-files-{count}")
        os.makedirs(folder, exist_ok=True)
        for n in range(count):
            path = os.path.join(folder, f"image{n:05}.ome.tif")
            if not os.path.exists(path):
                os.link(os.path.join(many, names[n % len(names)]), path)
        line = words(options, "{microtome} measure {path} {out}.csv --quiet", path=folder)
        rows.append({"curve": "files", "line": "statistics of 5 planes each", "x": count, **median_of(options, line)})
        line = words(options, "{microtome} inspect {path} --json", path=os.path.join(folder, "image{t}.ome.tif"))
        rows.append({"curve": "files", "line": "opened as one image", "x": count, **median_of(options, line)})
    return rows


def chunks(options):
    """250 MB of planes of 1024², stored in chunks of all sizes, a file each, and in shards."""
    rows = []
    shapes = ["1,1,1,64,64", "1,1,1,128,128", "1,1,1,256,256", "1,1,1,512,512", "1,1,1,1024,1024", "1,1,4,1024,1024", "1,1,20,1024,1024"]
    text = "{microtome} convert {data}/stack.ome.tiff {out}.ome.zarr --region t=0:2 --levels 1 --durability none --quiet"
    for shape in shapes:
        size = 2
        for extent in shape.split(","):
            size *= int(extent)
        for what, more in (("a file a chunk", "none"), ("shards of a stack of planes", "1,1,20,1024,1024")):
            line = words(options, f"{text} --chunk-shape {shape} --shard-shape {more}")
            rows.append({"curve": "chunks", "line": what, "x": size, **median_of(options, line)})
    return rows


def threads(options):
    rows = []
    for count in range(1, 2 * os.cpu_count() + 1):
        lines = {
            "maximum along z, Deflate": "project {data}/deflate.ome.tiff {out}.ome.tif --axis z --levels 1",
            "maximum along z, raw": "project {data}/stack.ome.tiff {out}.ome.tif --axis z --levels 1",
            "to OME-Zarr": "convert {data}/stack.ome.tiff {out}.ome.zarr --levels 1",
        }
        for what, line in lines.items():
            line = words(options, f"{{microtome}} {line} --durability none --quiet --threads {count}")
            rows.append({"curve": "threads", "line": what, "x": count, **median_of(options, line)})
    return rows


def workers(options):
    """A projection and a conversion on workers of one thread; the machine has fewer cores than four."""
    rows = []
    lines = {
        "maximum along z, Deflate": "project {data}/deflate.ome.tiff {out}.ome.tif --axis z --levels 1",
        "to OME-Zarr": "convert {data}/stack.ome.tiff {out}.ome.zarr --levels 1",
    }
    for count in (1, 2, 4):
        dask = cluster.Cluster(options.python, options.scratch, count)
        try:
            for what, line in lines.items():
                line = words(options, f"{{microtome}} {line} --durability none --quiet --address {dask.address}")
                rows.append({"curve": "workers", "line": what, "x": count, **median_of(options, line, 2)})
        finally:
            dask.close()
    return rows + simulated_workers(options, rows)


def simulated_workers(options, rows):
    """Workers with a core each beyond those of this machine. *Model*: seconds = what the client takes (connecting, planning, taking
    receipts, which one worker's run shows beside the processor time of threads) + processor time of the work ÷ workers, but no
    less than its batches (32 MiB of pixels each, at least one a worker) at 1,000 a second, what one Dask scheduler hands out."""
    simulated = []
    for what in {row["line"] for row in rows}:
        alone = next(row for row in rows if row["line"] == what and row["x"] == 1)
        two = next(row for row in rows if row["line"] == what and row["x"] == 2)
        work = 2 * max(0.0, alone["s"] - two["s"])
        fixed = max(0.0, alone["s"] - work)
        batches = 1_258_291_200 / (32 << 20)
        for count in (8, 16, 32, 64, 128):
            seconds = fixed + max(work / min(count, batches), batches / 1_000)
            simulated.append({"curve": "workers", "line": what, "x": count, "s": round(seconds, 3), "simulated": True})
    return simulated


CURVES = {"planes": planes, "files": files, "chunks": chunks, "threads": threads, "workers": workers}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, help="what data.py made")
    options.add_argument("--microtome", required=True, help="the release binary")
    options.add_argument("--scheduling", required=True, help="the benchmark `scheduling`")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", default="*", help="curves, with * and commas")
    options.add_argument("--python", default=sys.executable)
    options = options.parse_args()
    options.data, options.microtome = os.path.abspath(options.data), os.path.abspath(options.microtome)
    options.scratch = os.path.join(options.data, "out")
    os.makedirs(options.scratch, exist_ok=True)
    for name, curve in CURVES.items():
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.only.split(",")):
            rows = curve(options)
            for row in rows:
                print(json.dumps(row), flush=True)
            record.keep("scale", rows, options.microtome, key="curve")
    shutil.rmtree(options.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
