"""Folders of NDTiff, written by ndstorage (the package of Micro-Manager's authors), and what it reads of them.

usage: ndtiff.py write DIR

Writes DIR/scan_1 with three times, two channels by name, four Z and two positions, one image left out, and prints its path, the
image that is left out, and for each position the sha256 of its pixels T C Z Y X as ndstorage reads them.
"""

import contextlib
import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from ndstorage import NDTiffDataset

CHANNELS = ["GFP", "DAPI"]
SUMMARY = {"PixelSize_um": 0.65, "z-step_um": 1.5, "ChNames": ["wrong", "names"], "Prefix": "scan"}
LEFT_OUT = {"time": 1, "channel": "DAPI", "z": 3, "position": 1}


def write(folder):
    random = np.random.default_rng(3)
    data = NDTiffDataset(str(folder), name="scan", summary_metadata=SUMMARY, writable=True)
    data.initialize(SUMMARY)
    for position in range(2):
        for time in range(3):
            for z in (2, -1, 0, 3):
                for channel in CHANNELS:
                    axes = {"time": time, "channel": channel, "z": z, "position": position}
                    if axes == LEFT_OUT:
                        continue
                    image = random.integers(0, 60000, (24, 32)).astype("uint16")
                    data.put_image(axes, image, {"Axes": axes, "PixelSizeUm": 0.65, "ElapsedTime-ms": 100 * time})
    data.finish()
    return data.path


def read(path):
    data = NDTiffDataset(path)
    hashes = []
    for position in range(2):
        hash = hashlib.sha256()
        for time in range(3):
            for channel in CHANNELS:
                for z in (-1, 0, 2, 3):
                    axes = {"time": time, "channel": channel, "z": z, "position": position}
                    if axes == LEFT_OUT:
                        hash = None
                    elif hash:
                        hash.update(data.read_image(**axes).tobytes())
        hashes.append(hash and hash.hexdigest())
    return hashes


def main(_, folder):
    with contextlib.redirect_stdout(io.StringIO()):
        path = write(Path(folder))
        hashes = read(path)
    print(json.dumps({"path": str(Path(path).relative_to(Path.cwd()) if Path(path).is_absolute() else path), "sha256": hashes}))


main(*sys.argv[1:])
