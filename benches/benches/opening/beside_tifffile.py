"""Opening at scale, the binary beside tifffile in one run, taking turns: medians of wall time and the binary's peak memory.

usage: beside_tifffile.py MICROTOME FOLDER [SAMPLES]

Opens a file of 100,000 pages, an OME-TIFF set of 1,000 files of 30 planes, and the same number of files as a plate by their
names. The binary answers `inspect --json`, its start included; tifffile starts for nothing. It counts the pages alone, without
their tags, and parses them; it opens each file of the plate for its series, and has no way to open the set by its companion.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tifffile

SCRIPT = Path(__file__).parents[3] / "tests/python/sequences.py"


def made(folder):
    folder.mkdir(exist_ok=True)
    many, collection, plate = folder / "many.tif", folder / "set", folder / "plate"
    if not many.exists():
        subprocess.run([sys.executable, SCRIPT, "pages", many, "100000"], check=True)
    if not collection.exists():
        subprocess.run([sys.executable, SCRIPT, "set", collection, "1000", "30"], check=True)
    if not plate.exists():
        plate.mkdir()
        pixels = np.zeros((3, 10, 16, 16), "uint8")
        for n in range(1000):
            name = f"{'ABCDEFGHIJ'[n // 100]}{n // 10 % 10 + 1:02}_s{n % 10}.ome.tif"
            tifffile.imwrite(plate / name, pixels, metadata={"axes": "CZYX"}, photometric="minisblack")
    return many, collection / "plane0000.ome.tif", plate


def ours(binary, path):
    start = time.perf_counter()
    child = subprocess.Popen([binary, "inspect", path, "--json"], stdout=subprocess.DEVNULL)
    usage = os.wait4(child.pid, 0)[2]
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def counted(path):
    start = time.perf_counter()
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 100_000
    return time.perf_counter() - start


def parsed(path):
    start = time.perf_counter()
    with tifffile.TiffFile(path) as tiff:
        tiff.pages.useframes = False
        assert all(page.shape == (8, 8) and page.dataoffsets for page in tiff.pages)
    return time.perf_counter() - start


def each(folder):
    start = time.perf_counter()
    for path in sorted(folder.iterdir()):
        with tifffile.TiffFile(path) as tiff:
            assert tiff.series[0].shape[:2] == (3, 10)
    return time.perf_counter() - start


def main(binary, folder, samples="5"):
    many, collection, plate = made(Path(folder))
    rows = [
        ("100,000 pages; tifffile counts them", str(many), lambda: counted(many)),
        ("100,000 pages; tifffile parses them", str(many), lambda: parsed(many)),
        ("a set of 1,000 files of 30 planes", str(collection), lambda: None),
        ("a plate of 1,000 files of 30 planes", str(plate / "{well}_s{field}.ome.tif"), lambda: each(plate)),
    ]
    print("| opened | ours | peak | tifffile | ours / tifffile |\n|---|---|---|---|---|")
    for name, path, other in rows:
        taken = [(ours(binary, path), other()) for _ in range(int(samples))]
        own = statistics.median(seconds for (seconds, _), _ in taken)
        peak = max(memory for (_, memory), _ in taken)
        seconds = [seconds for _, seconds in taken if seconds]
        theirs = statistics.median(seconds) if seconds else None
        beside = f"{theirs:.2f} s | 1/{theirs / own:.1f}" if theirs else "– | –"
        print(f"| {name} | {own:.3f} s | {peak:.0f} MiB | {beside} |")


main(*sys.argv[1:])
