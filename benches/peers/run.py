#!/usr/bin/env python3
"""Runs ours beside other programs on the same image, taking turns.   run.py --data FOLDER [--runs 5] [--only 'read-*,rechunk']

Each (workload, program) is a process of its own; a first turn warms the page cache and compares pixels, and is not counted.
Prints a table of medians: seconds of the work, ratio to the limit, processor seconds, peak of anonymous memory.
"""
import argparse
import csv
import fnmatch
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zlib

import record

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = ["dask and tifffile", "bioio", "aicsimageio"]
OURS = ["microtome", "microtome, no sync"]
ON_THREADS = ["limit: loop", *OURS, "tifffile on threads", *LIBRARIES]
READERS = ["limit: decode", "microtome", "tensorstore", "zarrs-python", "zarr-python"]
WRITERS = ["limit: encode", "microtome", "microtome, no sync", "tensorstore", "zarrs_reencode"]
CONVERT = "{microtome} convert {source} {out} --quiet --memory 1GiB"
NO_SYNC = " --durability none"
PART = " --chunk-shape 1,1,1,512,512"
WRITE = {
    "write-blosc": " --levels 1 --ngff-version 0.4 --compression blosc-lz4 --compression-level 5 --chunk-shape 1,1,1,1024,1024",
    "write-zstd": " --levels 1 --compression zstd --compression-level 3 --shard-shape none" + PART,
    "write-sharded": " --levels 1 --compression zstd --compression-level 3 --shard-shape 1,1,20,1024,1024" + PART,
    "pyramid": " --levels 4 --ngff-version 0.4 --compression blosc-lz4 --compression-level 5 --chunk-shape 1,1,1,1024,1024",
    "rechunk": " --levels 1 --ngff-version 0.4 --compression blosc-lz4 --compression-level 5 --chunk-shape 1,1,20,256,256",
}
BLOSC = '{"name":"blosc","configuration":{"cname":"lz4","clevel":5,"shuffle":"shuffle","typesize":2,"blocksize":0}}'
ZSTD = '{"name":"zstd","configuration":{"level":3,"checksum":false}}'
# It changes the grid of chunks only where shards are asked for, so some of its outputs have shards of one chunk.
REENCODE = {
    "write-blosc": f"--bytes-to-bytes-codecs [{BLOSC}]",
    "write-zstd": f"--chunk-shape 1,1,1,512,512 --shard-shape 1,1,1,512,512 --bytes-to-bytes-codecs [{ZSTD}]",
    "write-sharded": f"--chunk-shape 1,1,1,512,512 --shard-shape 1,1,20,1024,1024 --bytes-to-bytes-codecs [{ZSTD}]",
    "rechunk": f"--cache-chunks 40 --chunk-shape 1,1,20,256,256 --shard-shape 1,1,20,256,256 --bytes-to-bytes-codecs [{BLOSC}]",
}
PROJECT = "{microtome} project {source} {out} --axis z --method max --levels 1 --compression none --quiet --memory 1GiB"
MEASURE = "{microtome} measure {source} {out} --quiet"
# The plain loops of `reading`: what they are told of where planes lie, as stacks, planes of a stack, bytes of a plane.
LOOPS = {
    "project-raw": ("maximum", 30, 20, 2 << 20),
    "project-large": ("maximum", 10, 72, 8 << 20),
    "statistics": ("statistics", 30, 20, 2 << 20),
    "map": ("bytes",),
}
WORKLOADS = {
    "open-stack": ("stack.ome.tiff", ["microtome", "tiffinfo", "tifffile", *LIBRARIES]),
    "open-pages": ("pages.tif", ["microtome", "tiffinfo", "tifffile", *LIBRARIES]),
    "open-zarr": ("blosc.zarr", ["microtome", "zarr-python", "dask"]),
    "project-raw": ("stack.ome.tiff", ON_THREADS),
    "project-deflate": ("deflate.ome.tiff", ["limit: decode", *ON_THREADS[1:]]),
    "project-zarr": ("blosc.zarr", ["limit: decode", *OURS, "tensorstore", "zarr-python on threads", "dask and tifffile"]),
    "project-large": ("large.ome.tiff", ON_THREADS),
    "statistics": ("stack.ome.tiff", ["limit: loop", "microtome", "numpy on threads", "OpenCV on threads", *LIBRARIES]),
    "map": (
        "many200",
        ["limit: loop", "microtome", "tifffile on threads", "tifffile in processes", "bioio", "aicsimageio"],
    ),
    **{f"read-{layout}": (f"{layout}.zarr", READERS) for layout in ("blosc", "zstd", "sharded")},
    **{f"planes-{layout}": (f"{layout}.zarr", READERS) for layout in ("blosc", "zstd", "sharded")},
    **{f"write-{layout}": ("raw.zarr", WRITERS) for layout in ("blosc", "zstd", "sharded")},
    "pyramid": (
        "stack.ome.tiff",
        ["limit: encode", "microtome", "microtome, no sync", "threads by hand", "bioio-conversion", "ngff-zarr"],
    ),
    "rechunk": (
        "blosc.zarr",
        ["limit: decode", "limit: encode", "microtome", "microtome, no sync", "tensorstore", "zarrs_reencode"],
    ),
}


def command(options, workload, name, source, out):
    """The command line of a program."""
    if name == "zarrs_reencode":
        return [options.zarrs_reencode, *REENCODE[workload].split(" "), os.path.join(source, "0"), out]
    if name == "tiffinfo":
        return ["tiffinfo", source]
    if name == "limit: loop":
        name, *places = LOOPS[workload]
        return [options.reading, name, source, *map(str, ([first_byte(source)] if places else []) + places)]
    if not name.startswith("microtome"):
        python = options.seed if name == "aicsimageio" else options.python
        return [python, os.path.join(HERE, "peer.py"), name, workload, source, out]
    line = ours(workload)
    if line is None:
        how = "whole" if workload.startswith("read") else "planes"
        return [options.reading, how, source] + (["--sum"] if "BENCH_SUM" in os.environ else [])
    line += NO_SYNC if name.endswith("no sync") else ""
    return [part.format(microtome=options.microtome, source=source, out=out) for part in line.split(" ")]


def first_byte(path):
    """Where the pixels of a TIFF begin whose planes lie one behind the other."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        return tif.series[0].dataoffset


def ours(workload):
    """Our command line, if the workload has one."""
    if workload.startswith("open-"):
        return "{microtome} inspect {source} --json"
    if workload.startswith("project-"):
        return PROJECT
    if workload in ("statistics", "map"):
        return MEASURE
    return CONVERT + WRITE[workload] if workload in WRITE else None


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for each in found:
        try:
            with open(f"/proc/{each}/task/{each}/children") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            continue
    return found


def anonymous(pid):
    """Bytes of anonymous memory of a process tree."""
    total = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/status") as status:
                total += sum(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))
        except OSError:
            continue
    return total


def measure(line, environment, good=(0,)):
    """Runs a command that must end with a code that is good; what it took."""
    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    peak, done = [0], threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], anonymous(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, complaints = process.communicate()
    wall, after = time.perf_counter() - start, os.times()
    done.set()
    watcher.join()
    if process.returncode not in good:
        raise SystemExit(f"{' '.join(line)}\nended with {process.returncode}\n{complaints[-2000:]}")
    last = (printed.strip().splitlines() or [""])[-1]
    said = json.loads(last) if last.startswith("{") else {}
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    pixels = shape_of(said) if "scenes" in said else said.get("pixels")
    return {"inner": said.get("inner_s", said.get("seconds", wall)), "wall": wall, "cpu": cpu, "peak": peak[0], "pixels": pixels}


def is_array(path):
    """Not every program writes a group around the levels, and chunks of an array may be folders with the names of levels."""
    try:
        with open(os.path.join(path, "zarr.json")) as file:
            return json.load(file)["node_type"] == "array"
    except FileNotFoundError:
        return os.path.exists(os.path.join(path, ".zarray"))


def pixels_of(out):
    """What says that an output is right: of pixels the CRC-32, of a Zarr's chunks too (all levels there are have one)."""
    if out.endswith(".csv"):
        return rows_of(out)
    import numpy
    import zarr

    if out.endswith(".ome.tif"):
        import tifffile

        return zlib.crc32(numpy.ascontiguousarray(tifffile.imread(out)))
    level = zarr.open_array(next(filter(is_array, map(out.__add__, ("", "/0", "/scale0/image")))), mode="r")
    total = 0
    for t in range(level.shape[0]):
        total = zlib.crc32(numpy.ascontiguousarray(level[t]), total)
    return total, getattr(level, "shards", None), level.chunks


def rows_of(out):
    """CRC-32 of a table's figures, in the order of images and planes; what is not whole by a tenth."""
    with open(out, newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (os.path.basename(row["path"]), *(int(row[axis]) for axis in "tcz")))
    figures = [[int(float(row[name])) for name in ("min", "max", "sum")] + [f"{float(row['std']):.1f}"] for row in rows]
    return zlib.crc32(json.dumps(figures).encode())


def shape_of(said):
    """Sizes over 1 of what `inspect --json` shows, T C Z Y X."""
    levels = said["scenes"][0]["levels"]
    return [size for size in levels[0]["shape"] if size > 1]


def remove(path):
    if os.path.isfile(path):
        os.remove(path)
    shutil.rmtree(path, ignore_errors=True)


def one(options, workload, name, first):
    """One turn of one program."""
    source = os.path.join(options.data, WORKLOADS[workload][0])
    ending = ".ome.tif" if workload.startswith("project-") else ".csv" if workload in ("statistics", "map") else ".ome.zarr"
    out = os.path.join(options.scratch, workload + ending)
    remove(out)
    environment = {**os.environ, **({"BENCH_SUM": "1"} if first else {})}
    os.environ.update({"BENCH_SUM": "1"} if first else {})
    took = measure(command(options, workload, name, source, out), environment)
    os.environ.pop("BENCH_SUM", None)
    if first and os.path.exists(out):
        took["pixels"] = pixels_of(out)
    remove(out)
    return took


def run(options, workload):
    """All programs of a workload, taking turns; their rows."""
    names = [name for name in WORKLOADS[workload][1] if available(options, name)]
    rows = {name: [] for name in names}
    seen = {}
    for turn in range(options.runs + 1):
        for name in names:
            if turn > 1 and rows[name][0]["inner"] > options.slow:
                continue
            took = one(options, workload, name, turn == 0)
            if turn == 0:
                seen[name] = took["pixels"]
            else:
                rows[name].append(took)
    return rows, seen


def available(options, name):
    if name == "tiffinfo":
        return shutil.which(name) is not None
    needed = {"zarrs_reencode": options.zarrs_reencode, "aicsimageio": options.seed}
    return needed.get(name, "") is not None


def table(workload, rows, seen):
    """Prints Markdown rows and gives them as they are kept; a workload that decodes and encodes has both as its limit."""
    kept = []
    middle = {name: {key: statistics.median(each[key] for each in took) for key in ("inner", "wall", "cpu", "peak")} for name, took in rows.items()}
    limit = sum(of["inner"] for name, of in middle.items() if name.startswith("limit: "))
    for name, of in middle.items():
        ratio = f"{of['inner'] / limit:.2f}" if limit else ""
        print(
            f"| {workload} | {name} | {of['inner']:.3f} | {ratio} | {of['wall']:.3f} | {of['cpu']:.2f} "
            f"| {of['peak'] / 1e6:.0f} | {seen[name] if seen[name] is not None else ''} | {len(rows[name])} |",
            flush=True,
        )
        kept.append({
            "workload": workload, "program": name, "s": round(of["inner"], 4), "process_s": round(of["wall"], 4),
            "cpu_s": round(of["cpu"], 3), "peak_mb": round(of["peak"] / 1e6, 1), "runs": len(rows[name]),
            "seen": seen[name] if seen[name] is None else str(seen[name]),
        })
    return kept


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, help="what data.py made")
    options.add_argument("--scratch", help="where outputs are written for a while; beside the data unless given")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", default="*", help="workloads, with * and commas")
    options.add_argument("--slow", type=float, default=15, help="programs that take longer, in seconds, run once")
    options.add_argument("--microtome", required=True, help="the release binary")
    options.add_argument("--reading", required=True, help="the benchmark `reading`")
    options.add_argument("--zarrs-reencode", help="of the crate zarrs_tools; left out unless given")
    options.add_argument("--seed", help="the Python that has aicsimageio; left out unless given")
    options.add_argument("--python", default=sys.executable)
    options = options.parse_args()
    options.scratch = options.scratch or os.path.join(options.data, "out")
    os.makedirs(options.scratch, exist_ok=True)
    print("| workload | program | s | × limit | process s | processor s | peak MB | pixels | runs |")
    print("|---|---|---|---|---|---|---|---|---|")
    for workload in WORKLOADS:
        there = os.path.exists(os.path.join(options.data, WORKLOADS[workload][0]))
        if there and any(fnmatch.fnmatch(workload, pattern) for pattern in options.only.split(",")):
            record.keep("peers", table(workload, *run(options, workload)), options.microtome, options.seed)


if __name__ == "__main__":
    main()
