"""Where the pixels of levels lie, computed without NGFF's formulas: an image whose pixels are their own places.

usage: levels_lie.py make IN.zarr | levels_lie.py check OUT.ome.zarr METHOD

`make` writes an OME-Zarr 0.4 whose value at (y, x) is y * 0.5 + x * 0.25 micrometers, which are its pixel sizes. `check`
demands that away from the edges every pixel of every level has the value of the place that scale and translation give it,
and, of `mode`, whose result is a value and no place, that it lies in the middle of the pixels that it stands for. Prints the
number of levels.
"""

import json
import sys
from pathlib import Path

import numpy as np
import zarr

SIZES = (0.5, 0.25)


def make(path):
    group = zarr.create_group(path, zarr_format=2)
    y, x = np.mgrid[:203, :400]
    pixels = (y * SIZES[0] + x * SIZES[1]).astype("float64")
    group.create_array("0", shape=pixels.shape, dtype="float64", chunks=(64, 64))[:] = pixels
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": SIZES}]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    print("{}")


def check(path, method):
    group = zarr.open_group(path, mode="r")
    attributes = dict(group.attrs)
    multiscale = attributes.get("ome", attributes)["multiscales"][0]
    assert multiscale["type"] == method, multiscale
    for level, dataset in enumerate(multiscale["datasets"]):
        found = group[dataset["path"]][0, 0, 0]
        scale, *rest = dataset["coordinateTransformations"]
        origin = rest[0]["translation"] if rest else [0] * 5
        places = [o + s * np.arange(n) for o, s, n in zip(origin[3:], scale["scale"][3:], found.shape)]
        if method == "mode":
            middle = [(2**level - 1) / 2 * size for size in SIZES]
            assert np.allclose(origin[3:], middle), (level, origin)
            continue
        expected = places[0][:, None] + places[1][None, :]
        inner = (slice(8, -8), slice(8, -8)) if level else (slice(None), slice(None))
        assert np.allclose(found[inner], expected[inner], rtol=1e-12), (level, found[9, 9], expected[9, 9])
    print(json.dumps({"levels": len(multiscale["datasets"])}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        check(Path(sys.argv[2]), sys.argv[3])
