#!/usr/bin/env python3
"""Makes the image that the peers are run on, in each layout.   data.py FOLDER

An OME-TIFF of 10 x 3 x 20 planes of 1024 x 1024, 16 bit, 1.26 GB, not compressed: smooth blobs with photon noise, which
compresses about as much as fluorescence does; and the same pixels as Zarr. What is there already is kept.
"""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

SHAPE = (10, 3, 20, 1024, 1024)
BRIGHTNESS = (600.0, 1500.0, 250.0)
PLANE = (1, 1, 1, 1024, 1024)
PART = (1, 1, 1, 512, 512)
SHARD = (1, 1, 20, 1024, 1024)


def blobs(seed, cells=24):
    """A smooth field in 0..1, Y X."""
    from scipy.ndimage import zoom

    coarse = np.random.default_rng(seed).random((cells, cells)).astype(np.float32) ** 4
    return np.clip(zoom(coarse, (SHAPE[3] / cells, SHAPE[4] / cells), order=3), 0, None)


def pixels():
    """The stack, T C Z Y X."""
    stack = np.empty(SHAPE, np.uint16)
    ends = [(blobs(2 * c), blobs(2 * c + 1)) for c in range(SHAPE[1])]

    def draw(index):
        t, c, z = np.unravel_index(index, SHAPE[:3])
        share = z / (SHAPE[2] - 1)
        field = np.roll(ends[c][0] * (1 - share) + ends[c][1] * share, 3 * int(t), axis=1)
        stack[t, c, z] = np.random.default_rng(1000 + index).poisson((field + 0.05) * BRIGHTNESS[c]) + 100

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(draw, range(int(np.prod(SHAPE[:3])))))
    return stack


def write_tiff(path, stack):
    import tifffile

    sizes = {"axes": "TCZYX", "PhysicalSizeX": 0.108, "PhysicalSizeY": 0.108, "PhysicalSizeZ": 0.29}
    tifffile.imwrite(path, stack, ome=True, photometric="minisblack", metadata=sizes)


def write_zarr(path, stack, version, **layout):
    """A group with the image as its array "0"."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=version)
    names = {"dimension_names": list("tczyx")} if version == 3 else {}
    array = group.create_array("0", shape=SHAPE, dtype=stack.dtype, fill_value=0, **names, **layout)
    for t in range(SHAPE[0]):
        array[t] = stack[t]


def layouts():
    """Zarr layouts by name."""
    import numcodecs
    from zarr.codecs import ZstdCodec

    lz4 = numcodecs.Blosc("lz4", clevel=5, shuffle=1)
    slashes = {"name": "v2", "separator": "/"}
    return {
        "raw": {"version": 3, "chunks": PLANE, "compressors": None},
        "blosc": {"version": 2, "chunks": PLANE, "compressors": lz4, "chunk_key_encoding": slashes},
        "zstd": {"version": 3, "chunks": PART, "compressors": ZstdCodec(level=3)},
        "sharded": {"version": 3, "chunks": PART, "shards": SHARD, "compressors": ZstdCodec(level=3)},
    }


def main(folder):
    os.makedirs(folder, exist_ok=True)
    tiff = os.path.join(folder, "stack.ome.tiff")
    stack = None
    if not os.path.exists(tiff):
        stack = pixels()
        write_tiff(tiff + ".part", stack)
        os.rename(tiff + ".part", tiff)
    for name, layout in layouts().items():
        path = os.path.join(folder, f"{name}.zarr")
        if os.path.exists(path):
            continue
        if stack is None:
            import tifffile

            stack = tifffile.memmap(tiff, mode="r")
        write_zarr(path + ".part", stack, **layout)
        os.rename(path + ".part", path)


if __name__ == "__main__":
    main(sys.argv[1])
