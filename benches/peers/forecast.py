#!/usr/bin/env python3
"""How good forecasts of time are: 50 runs, each planned first.   forecast.py --data FOLDER --microtome BINARY [--runs 50]

Ten kinds of run on the images of data.py, each on parts of several sizes, in an order that a seed shuffles. The cache of rates is
empty at first, so that the first forecasts rest on two seconds of measuring and later ones on runs, too. The page cache is warm.
Prints a row a run, and how many ended within 25 % of what was said, and within the interval that eight of ten should.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile

import record

KINDS = {
    "project raw": "project stack.ome.tiff {out}.ome.tif --axis z --levels 1 --compression none",
    "project raw, mean over t": "project stack.ome.tiff {out}.ome.zarr --axis t --method mean --levels 1",
    "project deflate": "project deflate.ome.tiff {out}.ome.tif --axis z --levels 1",
    "project blosc": "project blosc.zarr {out}.ome.zarr --axis z --levels 1",
    "convert raw": "convert stack.ome.tiff {out}.ome.zarr --levels 1",
    "convert raw, 4 levels": "convert stack.ome.tiff {out}.ome.zarr --levels 4",
    "convert deflate, no sync": "convert deflate.ome.tiff {out}.ome.zarr --levels 1 --durability none",
    "convert not compressed": "convert blosc.zarr {out}.ome.zarr --levels 1 --compression none",
    "rechunk": "convert zstd.zarr {out}.ome.zarr --levels 1 --chunk-shape 1,1,20,256,256 --shard-shape none",
    "to OME-TIFF": "convert blosc.zarr {out}.ome.tif --levels 1 --compression zstd",
}
# Time points of each part.
PARTS = ["t=0:2", "t=3:6", "t=0:4", "t=4:10", "t=0:10"]


def said(options, cache, line, plan):
    """What a command prints as JSON."""
    words = line.split(" ")
    words[1] = os.path.join(options.data, words[1])
    command = [options.microtome, *(["plan"] if plan else []), *words, "--json", "--memory", "1GiB"]
    done = subprocess.run(command, env={**os.environ, "XDG_CACHE_HOME": cache}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def remove(path):
    if os.path.isfile(path):
        os.remove(path)
    shutil.rmtree(path, ignore_errors=True)


def one(options, cache, scratch, kind, part):
    """A run: what was said of it, and what it took."""
    line = KINDS[kind].format(out=os.path.join(scratch, "out")) + f" --region {part}"
    out = line.split(" ")[2]
    remove(out)
    plan = said(options, cache, line, plan=True)
    run = said(options, cache, line, plan=False)
    remove(out)
    return {"kind": kind, "part": part, **{name: plan[name] for name in ("seconds", "seconds_low", "seconds_high", "runs_learnt")}, "took": run["seconds"]}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, help="what data.py made")
    options.add_argument("--microtome", required=True, help="the release binary")
    options.add_argument("--runs", type=int, default=50)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    turns = [(kind, part) for part in PARTS for kind in KINDS]
    random.Random(options.seed).shuffle(turns)
    rows = []
    print("| run | of | said, s | eight of ten, s | from runs | took, s | took / said |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory(dir=options.data) as scratch:
        for kind, part in turns[: options.runs]:
            row = one(options, cache, scratch, kind, part)
            rows.append(row)
            interval = f"{row['seconds_low']:.2f} to {row['seconds_high']:.2f}"
            print(
                f"| {kind} | {part} | {row['seconds']:.2f} | {interval} | {row['runs_learnt']} | {row['took']:.2f} "
                f"| {row['took'] / row['seconds']:.2f} |",
                flush=True,
            )
    summary(rows)
    if len(rows) == len(KINDS) * len(PARTS):
        record.keep("forecast", rows, options.microtome, key="kind")


def summary(rows):
    ratios = [row["took"] / row["seconds"] for row in rows]
    close = sum(0.75 <= ratio <= 1.25 for ratio in ratios)
    inside = sum(row["seconds_low"] <= row["took"] <= row["seconds_high"] for row in rows)
    print(f"\n{close} of {len(rows)} within 25 %, {inside} within their interval; median of took / said {statistics.median(ratios):.2f}")
    print("\n| run | median of took / said | within 25 % |\n|---|---|---|")
    for kind in KINDS:
        own = [row["took"] / row["seconds"] for row in rows if row["kind"] == kind]
        if own:
            print(f"| {kind} | {statistics.median(own):.2f} | {sum(0.75 <= ratio <= 1.25 for ratio in own)} of {len(own)} |")


if __name__ == "__main__":
    main()
