"""Pixels as the tests compare them: axes T C Z Y X, S last for samples, and a sha256 in C order, little-endian.

The reading is done by tifffile and zarr-python alone; nothing here shares code with microtome.
"""

import hashlib
import itertools
import os

import numpy as np
import tifffile
import zarr

CANONICAL = "TCZYX"


def little(pixels):
    """The pixels C-contiguous and little-endian."""
    return np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False)


def sha256(pixels):
    """sha256 of an array in memory."""
    return hashlib.sha256(little(pixels).tobytes()).hexdigest()


def sha256_stored(array):
    """sha256 of a Zarr array that may not fit into memory: read in slabs that end where stored chunks end."""
    digest = hashlib.sha256()
    grid = array.shards or array.chunks
    leading = max(array.ndim - 2, 0)
    # The last of the leading axes is walked by whole chunks, the axes before it one index at a time: C order.
    steps = [1] * max(leading - 1, 0) + list(grid[leading - 1 : leading] if leading else [])
    starts = [range(0, n, step) for n, step in zip(array.shape, steps)]
    for corner in itertools.product(*starts):
        slab = tuple(slice(start, start + step) for start, step in zip(corner, steps))
        digest.update(little(np.asarray(array[slab])).tobytes())
    return digest.hexdigest()


def canonical_axes(axes, shape):
    """The letters of `axes` with their canonical names; an axis of unknown meaning becomes the first free of T, Z, C.

    Returns None in the place of an unknown axis of length 1, which is dropped.
    """
    known = [letter if letter in CANONICAL + "S" else None for letter in axes.upper()]
    free = [letter for letter in "TZC" if letter not in known]
    for place, letter in enumerate(known):
        if letter is None and shape[place] > 1:
            known[place] = free.pop(0)
    return known


def to_tczyx(pixels, axes):
    """The array with axes T C Z Y X in this order, and S last if there are samples."""
    names = canonical_axes(axes, pixels.shape)
    pixels = pixels.reshape([n for n, name in zip(pixels.shape, names) if name])
    names = [name for name in names if name]
    wanted = CANONICAL + ("S" if "S" in names else "")
    pixels = pixels.transpose([names.index(letter) for letter in wanted if letter in names])
    return pixels.reshape([pixels.shape[sorted(names, key=wanted.index).index(x)] if x in names else 1 for x in wanted])


def is_zarr(path):
    """Whether a path is the folder of a Zarr array or group."""
    return any(os.path.exists(os.path.join(path, name)) for name in ("zarr.json", ".zgroup", ".zarray"))


def image_group(path):
    """The group of the first image below `path` and its multiscales entry; the group of images may be nested once."""
    group = zarr.open_group(path, mode="r")
    attributes = dict(group.attrs)
    attributes = attributes.get("ome", attributes)
    if "multiscales" not in attributes and "0" in group:
        group = group["0"]
        attributes = dict(group.attrs)
        attributes = attributes.get("ome", attributes)
    return group, attributes


def read(path, level=0):
    """Level `level` of the first image of a TIFF, an OME-Zarr or a plain Zarr array, as T C Z Y X (S)."""
    if not is_zarr(path):
        with tifffile.TiffFile(path) as tif:
            stored = tif.series[0].levels[level]
            return to_tczyx(stored.asarray(), stored.axes)
    opened = zarr.open(path, mode="r")
    if isinstance(opened, zarr.Array):
        return to_tczyx(np.asarray(opened[...]), CANONICAL[-opened.ndim :])
    group, attributes = image_group(path)
    multiscale = attributes["multiscales"][0]
    axes = "".join(axis["name"] for axis in multiscale["axes"])
    return to_tczyx(np.asarray(group[multiscale["datasets"][level]["path"]][...]), axes)
