#!/usr/bin/env python3
"""Runs ours beside other programs on the same image, taking turns.   run.py --data FOLDER [--runs 5] [--only 'read-*,rechunk']

Each (workload, program) is a process of its own; a first turn warms the page cache and compares pixels, and is not counted.
Prints a table of medians: seconds of the work, ratio to the limit, processor seconds, peak of anonymous memory.
"""
import argparse
import fnmatch
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMITS = ("limit: decode", "limit: encode")
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
WORKLOADS = {
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
    if not name.startswith("microtome"):
        return [options.python, os.path.join(HERE, "peer.py"), name, workload, source, out]
    if workload in WRITE:
        line = CONVERT + WRITE[workload] + (NO_SYNC if name.endswith("no sync") else "")
        return [part.format(microtome=options.microtome, source=source, out=out) for part in line.split(" ")]
    how = "whole" if workload.startswith("read") else "planes"
    return [options.reading, how, source] + (["--sum"] if "BENCH_SUM" in os.environ else [])


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
    return {"inner": said.get("inner_s", said.get("seconds", wall)), "wall": wall, "cpu": cpu, "peak": peak[0], "pixels": said.get("pixels")}


def is_array(path):
    """Not every program writes a group around the levels, and chunks of an array may be folders with the names of levels."""
    try:
        with open(os.path.join(path, "zarr.json")) as file:
            return json.load(file)["node_type"] == "array"
    except FileNotFoundError:
        return os.path.exists(os.path.join(path, ".zarray"))


def pixels_of(out):
    """CRC-32 and chunks of what was written, read by zarr-python: every level there is."""
    import zlib

    import numpy
    import zarr

    level = zarr.open_array(next(filter(is_array, map(out.__add__, ("", "/0", "/scale0/image")))), mode="r")
    total = 0
    for t in range(level.shape[0]):
        total = zlib.crc32(numpy.ascontiguousarray(level[t]), total)
    return total, getattr(level, "shards", None), level.chunks


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def one(options, workload, name, first):
    """One turn of one program."""
    source = os.path.join(options.data, WORKLOADS[workload][0])
    out = os.path.join(options.scratch, f"{workload}.ome.zarr")
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
    return name != "zarrs_reencode" or options.zarrs_reencode is not None


def table(workload, rows, seen):
    """Markdown rows; a workload that decodes and encodes has both as its limit."""
    middle = {name: {key: statistics.median(each[key] for each in took) for key in ("inner", "wall", "cpu", "peak")} for name, took in rows.items()}
    limit = sum(middle[name]["inner"] for name in LIMITS if name in middle)
    for name, of in middle.items():
        print(
            f"| {workload} | {name} | {of['inner']:.2f} | {of['inner'] / limit:.2f} | {of['wall']:.2f} | {of['cpu']:.2f} "
            f"| {of['peak'] / 1e6:.0f} | {seen[name] if seen[name] is not None else ''} | {len(rows[name])} |",
            flush=True,
        )


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
    options.add_argument("--python", default=sys.executable)
    options = options.parse_args()
    options.scratch = options.scratch or os.path.join(options.data, "out")
    os.makedirs(options.scratch, exist_ok=True)
    print("| workload | program | s | × limit | process s | processor s | peak MB | pixels | runs |")
    print("|---|---|---|---|---|---|---|---|---|")
    for workload in WORKLOADS:
        if any(fnmatch.fnmatch(workload, pattern) for pattern in options.only.split(",")):
            table(workload, *run(options, workload))


if __name__ == "__main__":
    main()
