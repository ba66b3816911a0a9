#!/usr/bin/env python3
"""Decoding TIFFs: ours beside tifffile with imagecodecs, libtiff, and the bare codec on the same bytes.

decode.py --data FOLDER --microtome BINARY --reading BINARY [--runs 5] [--only 'deflate-*']

Eight planes of 2048 x 2048 in strips of 64 rows or tiles of 256, one thread each, programs taking turns. The figure is
processor time (user and system) from opening a file until each plane was in memory, one after the other; a first turn warms the
page cache and compares pixels. Ours and libtiff (called through ctypes, chunk by chunk) put all planes into the same memory;
tifffile makes an array of each. The bare codec decodes chunks that are in memory already into memory that is used again (raw:
copies them), and nothing puts them where they belong. JPEG is of 8 bits.
"""
import argparse
import ctypes
import ctypes.util
import fnmatch
import functools
import json
import operator
import os
import statistics
import subprocess
import sys
import time
import zlib

import record

SHAPE = (8, 2048, 2048)
CODECS = {"raw": None, "lzw": "lzw", "deflate": "adobe_deflate", "zstd": "zstd", "jpeg": "jpeg"}
LAYOUTS = {"strips": {"rowsperstrip": 64}, "tiles": {"tile": (256, 256)}}
OUTSIDE = 0.0
PROGRAMS = ["bare codec", "microtome", "tifffile", "libtiff"]


def make(folder):
    """All variants, of the picture that the other benchmarks have, as 16 and as 8 bits."""
    import numpy
    import tifffile

    import data

    os.makedirs(folder, exist_ok=True)
    fields = [numpy.tile(data.blobs(seed), (2, 2)) for seed in range(SHAPE[0])]
    noise = numpy.random.default_rng(1)
    planes = numpy.stack([noise.poisson((field + 0.05) * 900) + 100 for field in fields]).astype("uint16")
    for dtype, pixels in (("u16", planes), ("u8", (planes >> 4).clip(0, 255).astype("uint8"))):
        for codec, name in CODECS.items():
            for layout, how in LAYOUTS.items():
                path = os.path.join(folder, f"{codec}-{layout}-{dtype}.tif")
                if os.path.exists(path) or (codec == "jpeg" and dtype == "u16"):
                    continue
                tifffile.imwrite(path + ".part", pixels, photometric="minisblack", compression=name, **how)
                os.rename(path + ".part", path)


def bare(path):
    import imagecodecs
    import numpy
    import tifffile

    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        chunk = page.chunks if len(page.chunks) == 2 else page.chunks[:2]
        size = int(numpy.prod(chunk)) * page.dtype.itemsize
        codec = path.rsplit(os.sep, 1)[1].split("-")[0]
        stored = []
        for page in tif.pages:
            for offset, count in zip(page.dataoffsets, page.databytecounts):
                tif.filehandle.seek(offset)
                stored.append(tif.filehandle.read(count))
        tables = tif.pages[0].jpegtables
    out = bytearray(size)
    decode = {
        "raw": lambda blob: out.__setitem__(slice(0, len(blob)), blob),
        "lzw": lambda blob: imagecodecs.lzw_decode(blob, out=out),
        "deflate": lambda blob: imagecodecs.deflate_decode(blob, out=out),
        "zstd": lambda blob: imagecodecs.zstd_decode(blob, out=out),
        "jpeg": lambda blob: imagecodecs.jpeg8_decode(blob, tables=tables),
    }[codec]
    start = time.process_time()
    for blob in stored:
        decode(blob)
    return time.process_time() - start, None


def with_tifffile(path):
    import tifffile

    sums, start = [], time.process_time()
    with tifffile.TiffFile(path) as tif:
        for page in tif.pages:
            plane = page.asarray(maxworkers=1)
            sums.append(outside(lambda plane=plane: zlib.crc32(plane)))
    return time.process_time() - start, sums


def outside(work):
    """Does something whose time is not to count: gives it, and moves the clock on."""
    global OUTSIDE
    start = time.process_time()
    done = work()
    OUTSIDE += time.process_time() - start
    return done


def with_libtiff(path):
    import numpy

    libtiff = ctypes.CDLL(ctypes.util.find_library("tiff") or "libtiff.so.6")
    libtiff.TIFFOpen.restype = ctypes.c_void_p
    handle, number, size = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_ssize_t
    libtiff.TIFFReadEncodedStrip.argtypes = libtiff.TIFFReadEncodedTile.argtypes = [handle, number, handle, size]
    for name in ("TIFFIsTiled", "TIFFNumberOfTiles", "TIFFNumberOfStrips", "TIFFReadDirectory", "TIFFClose"):
        getattr(libtiff, name).argtypes = [handle]
    chunk = (256, 256) if "tiles" in path else (64, SHAPE[2])
    plane = numpy.empty(SHAPE[1:], "uint16" if path.endswith("u16.tif") else "uint8")
    out = numpy.empty(chunk, plane.dtype)
    sums, start = [], time.process_time()
    tif = libtiff.TIFFOpen(path.encode(), b"r")
    for _ in range(SHAPE[0]):
        tiled = libtiff.TIFFIsTiled(tif)
        read = libtiff.TIFFReadEncodedTile if tiled else libtiff.TIFFReadEncodedStrip
        count = (libtiff.TIFFNumberOfTiles if tiled else libtiff.TIFFNumberOfStrips)(tif)
        across = SHAPE[2] // chunk[1]
        for number in range(count):
            if read(tif, number, out.ctypes.data, out.nbytes) != out.nbytes:
                raise SystemExit(f"libtiff cannot read chunk {number} of {path}")
            y, x = number // across * chunk[0], number % across * chunk[1]
            plane[y : y + chunk[0], x : x + chunk[1]] = out
        sums.append(outside(lambda: zlib.crc32(plane)))
        libtiff.TIFFReadDirectory(tif)
    libtiff.TIFFClose(tif)
    return time.process_time() - start, sums


def one(options, name, path, wants_sum):
    if name == "microtome":
        line = [options.reading, "planes", path] + (["--sum"] if wants_sum else [])
    else:
        line = [sys.executable, os.path.abspath(__file__), "--one", name, path]
    environment = {**os.environ, "BENCH_THREADS": "1", "OMP_NUM_THREADS": "1"}
    printed = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    return json.loads(printed.strip().splitlines()[-1])


def run(options, variant):
    path = os.path.join(options.data, "decode", f"{variant}.tif")
    took = {name: [] for name in PROGRAMS}
    sums = {}
    for turn in range(options.runs + 1):
        for name in PROGRAMS:
            said = one(options, name, path, turn == 0)
            if turn == 0:
                sums[name] = said["pixels"]
            else:
                took[name].append(said["cpu_s"])
    middle = {name: statistics.median(each) for name, each in took.items()}
    ours = middle["microtome"]
    rate = SHAPE[0] * SHAPE[1] * SHAPE[2] * (2 if variant.endswith("u16") else 1) / 1e9
    same = "same" if len(set(sums.values()) - {None}) == 1 else "DIFFER" if "jpeg" not in variant else "differ"
    print(
        f"| {variant} | {rate / ours:.2f} | {ours / middle['bare codec']:.2f} | {middle['tifffile'] / ours:.2f} "
        f"| {middle['libtiff'] / ours:.2f} | {same} |",
        flush=True,
    )
    ours_each = [{"variant": variant, "program": name, "cpu_s": round(middle[name], 4), "runs": options.runs} for name in PROGRAMS]
    record.keep("decode", [{**row, "pixels": same} for row in ours_each], options.microtome, key="variant")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, help="a folder that the files are made in")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", default="*", help="variants, with * and commas")
    options.add_argument("--microtome", required=True, help="the release binary, for its version: a library is measured")
    options.add_argument("--reading", required=True, help="the benchmark `reading`")
    options = options.parse_args()
    folder = os.path.join(options.data, "decode")
    make(folder)
    print("| variant | ours, GB of pixels a processor second | × bare codec | tifffile ÷ ours | libtiff ÷ ours | pixels |")
    print("|---|---|---|---|---|---|")
    for name in sorted(os.listdir(folder)):
        variant = name.removesuffix(".tif")
        if any(fnmatch.fnmatch(variant, pattern) for pattern in options.only.split(",")):
            run(options, variant)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        seconds, pixels = {"bare codec": bare, "tifffile": with_tifffile, "libtiff": with_libtiff}[sys.argv[2]](sys.argv[3])
        total = None if pixels is None else functools.reduce(operator.xor, pixels)
        print(json.dumps({"cpu_s": seconds - OUTSIDE, "pixels": total}))
    else:
        main()
