"""Whether PNGs hold planes of images: libpng reads the one, tifffile or zarr-python the other.

The argument is a JSON list of {"png", "source", "level", "t", "c", "z", "max"}: a plane, or, where "max" names an axis, the
greatest pixels along it. Prints a list of {"shape", "dtype", "equal"}.
"""

import json
import sys

import imagecodecs
import numpy as np
from pixels import read


def plane(asked):
    pixels = read(asked["source"], asked.get("level", 0))
    place = [slice(asked[axis], asked[axis] + 1) if axis in asked else slice(None) for axis in "tcz"]
    pixels = pixels[tuple(place)]
    if asked.get("max"):
        pixels = pixels.max(axis="tcz".index(asked["max"]), keepdims=True)
    assert pixels.shape[:3] == (1, 1, 1), pixels.shape
    return pixels[0, 0, 0]


def compared(asked):
    with open(asked["png"], "rb") as file:
        found = imagecodecs.png_decode(file.read())
    expected = plane(asked)
    if expected.dtype == bool:
        expected = expected.astype("uint8") * (255 if found.max() > 1 else 1)
    expected = expected.astype(asked.get("dtype", expected.dtype))
    expected = expected[..., 0] if expected.shape[-1] == 1 and found.ndim == 2 and expected.ndim == 3 else expected
    same = found.shape == expected.shape and found.dtype == expected.dtype.newbyteorder("=")
    return {
        "shape": list(found.shape),
        "dtype": str(found.dtype),
        "equal": bool(same and np.array_equal(found, expected)),
        "distinct": len(np.unique(found)),
    }


print(json.dumps([compared(asked) for asked in json.loads(sys.argv[1])]))
