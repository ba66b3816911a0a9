#!/usr/bin/env python3
"""Makes the images that the peers are run on.   data.py FOLDER [--large]

An OME-TIFF of 10 x 3 x 20 planes of 1024 x 1024, 16 bit, 1.26 GB, not compressed: smooth blobs with photon noise, which
compresses about as much as fluorescence does; the same pixels by Deflate, and as Zarr; a TIFF of 20,000 pages of 64 x 64; and 200
OME-TIFFs of 5 planes of 512 x 512. With --large, an OME-TIFF of 5 x 2 x 72 planes of 2048 x 2048, 6 GB. What is there already is
kept.
"""
import os
import shutil
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


def write_deflate(path, stack):
    """Strips of 128 rows, with the predictor, as cameras' programs write them."""
    import tifffile

    how = {"compression": "adobe_deflate", "predictor": 2, "rowsperstrip": 128, "metadata": {"axes": "TCZYX"}}
    tifffile.imwrite(path, stack, ome=True, photometric="minisblack", maxworkers=os.cpu_count(), **how)


def write_pages(path, stack):
    """Each directory behind its pixels, in turn: what a microscope writes that does not know how much will come."""
    import tifffile

    rows = stack[0, 0].reshape(-1, 64, 64)
    with tifffile.TiffWriter(path) as tif:
        for page in range(20_000):
            tif.write(rows[page % len(rows)], photometric="minisblack", contiguous=False, metadata=None)


def write_many(folder, stack):
    import tifffile

    os.makedirs(folder)
    for index in range(200):
        t, c, y, x = np.unravel_index(index, (10, 3, 2, 4))
        crop = stack[t, c, :5, y * 512 : y * 512 + 512, x * 128 : x * 128 + 512]
        path = os.path.join(folder, f"image{index:03}.ome.tif")
        tifffile.imwrite(path, np.ascontiguousarray(crop), ome=True, photometric="minisblack", metadata={"axes": "ZYX"})


def write_large(path, stack):
    """Planes of the small one side by side, each time moved on."""
    import tifffile

    def planes():
        for index in range(5 * 2 * 72):
            t, c, z = np.unravel_index(index % 600, SHAPE[:3])
            yield np.roll(np.tile(stack[t, c, z], (2, 2)), 7 * index, axis=1)

    how = {"shape": (5, 2, 72, 2048, 2048), "dtype": np.uint16, "metadata": {"axes": "TCZYX"}}
    tifffile.imwrite(path, planes(), ome=True, bigtiff=True, photometric="minisblack", **how)


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


def others(large):
    """What is not the stack itself, by name."""
    every = {"deflate.ome.tiff": write_deflate, "pages.tif": write_pages, "many200": write_many}
    every.update({"large.ome.tiff": write_large} if large else {})
    for name, layout in layouts().items():
        every[f"{name}.zarr"] = lambda path, stack, layout=layout: write_zarr(path, stack, **layout)
    return every


def main(folder, large):
    import tifffile

    os.makedirs(folder, exist_ok=True)
    tiff = os.path.join(folder, "stack.ome.tiff")
    if not os.path.exists(tiff):
        write_tiff(tiff + ".part", pixels())
        os.rename(tiff + ".part", tiff)
    stack = tifffile.memmap(tiff, mode="r")
    for name, write in others(large).items():
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            remains = path + ".part"
            if os.path.isdir(remains):
                shutil.rmtree(remains)
            write(remains, stack)
            os.rename(remains, path)


if __name__ == "__main__":
    main(sys.argv[1], "--large" in sys.argv[2:])
