"""Whether thumbnails show what NumPy computes of the pixels that tifffile or zarr-python reads.

The argument is a JSON list of {"png", "source", "level", "size", "t", "z", "max_z", "channels", "colors", "contrast", "sheet",
"labels"}. Planes are block means, stretched between percentiles of all planes of a channel that are shown, lights added up in
the channels' colours. Prints a list of {"shape", "most", "off", "grey"}: the greatest difference of a byte, how many differ by
more than one, and the mean of each plane of a sheet. Of labels, "colors" and "labels" are counted, and whether each label has
one colour.
"""

import json
import math
import sys

import imagecodecs
import numpy as np
from pixels import read

GAP = 4
MOST = 36


def shrunk(plane, factor):
    """Block means; of a block that the edge cuts, of the pixels that there are."""
    plane = plane.astype("float64")
    high, wide = (-n % factor for n in plane.shape[:2])
    rest = [(0, 0)] * (plane.ndim - 2)

    def summed(values):
        values = np.pad(values, [(0, high), (0, wide), *rest])
        blocks = (values.shape[0] // factor, factor, values.shape[1] // factor, factor, *values.shape[2:])
        return values.reshape(blocks).sum(axis=(1, 3))

    return summed(plane) / summed(np.ones_like(plane))


def light(values, low, high):
    if high <= low:
        return (values > low).astype("float64")
    return np.nan_to_num(np.clip((values - low) / (high - low), 0, 1))


def spaced(count):
    shown = min(count, MOST)
    return [(2 * n + 1) * count // (2 * shown) for n in range(shown)]


def tiles(asked, pixels):
    """The planes side by side: t, z and channels of each."""
    t, z = asked.get("t", 0), asked.get("z", pixels.shape[2] // 2)
    channels = asked.get("channels", list(range(min(6, pixels.shape[1]))))
    sheet = asked.get("sheet")
    if sheet == "t":
        return [(n, z, channels) for n in spaced(pixels.shape[0])]
    if sheet == "z":
        return [(t, n, channels) for n in spaced(pixels.shape[2])]
    if sheet == "c":
        return [(t, z, [n]) for n in asked.get("channels", spaced(pixels.shape[1]))]
    return [(t, z, channels)]


def side_by_side(pictures):
    if len(pictures) == 1:
        return pictures[0]
    high, wide = pictures[0].shape[:2]
    columns = min(math.ceil(math.sqrt(len(pictures) * high / wide)), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    out = np.full((rows * (high + GAP) - GAP, columns * (wide + GAP) - GAP, 3), 64.0)
    for n, picture in enumerate(pictures):
        y, x = n // columns * (high + GAP), n % columns * (wide + GAP)
        out[y : y + high, x : x + wide] = picture
    return out


def expected(asked):
    pixels = read(asked["source"], asked.get("level", 0))
    factor = max(1, math.ceil(max(pixels.shape[3:5]) / asked.get("size", 512)))
    shown = tiles(asked, pixels)

    def plane(t, z, c):
        chosen = pixels[t, c].max(axis=0) if asked.get("max_z") else pixels[t, c, z]
        return shrunk(chosen, factor)

    pictures = [0.0] * len(shown)
    for c in sorted({c for _, _, channels in shown for c in channels}):
        planes = {n: plane(t, z, c) for n, (t, z, channels) in enumerate(shown) if c in channels}
        values = np.concatenate([values.ravel() for values in planes.values()])
        low, high = np.percentile(values[np.isfinite(values)], asked.get("contrast", [0.1, 99.9]))
        for n, values in planes.items():
            if values.ndim == 3 and pixels.dtype == np.uint8:
                pictures[n] = np.floor(values[..., :3] + 0.5)
            elif values.ndim == 3:
                pictures[n] = np.floor(light(values[..., :3], low, high) * 255 + 0.5)
            else:
                color = np.array(asked.get("colors", {}).get(str(c), [255, 255, 255]), "float64")
                pictures[n] = pictures[n] + np.floor(light(values, low, high)[..., None] * color + 0.5)
    return side_by_side([np.clip(picture, 0, 255) for picture in pictures])


def labelled(asked, found):
    labels = read(asked["source"] + "/" + asked["labels"], asked.get("level", 0))
    plane = labels[0, 0, labels.shape[2] // 2]
    factor = max(1, math.ceil(max(plane.shape) / asked.get("size", 512)))
    plane = plane[::factor, ::factor]
    packed = found.astype("uint32") @ np.array([1 << 16, 1 << 8, 1], "uint32")
    pairs = np.unique(np.stack([plane.ravel().astype("uint64"), packed.ravel().astype("uint64")]), axis=1)
    return {
        "shape": list(found.shape),
        "labels": len(np.unique(plane)),
        "colors": len(np.unique(packed)),
        "pairs": pairs.shape[1],
        "background": sorted({int(color) for label, color in pairs.T if label == 0}),
    }


def compared(asked):
    with open(asked["png"], "rb") as file:
        found = imagecodecs.png_decode(file.read())
    if asked.get("labels"):
        return labelled(asked, found)
    wanted = expected(asked)
    if found.shape != wanted.shape:
        return {"shape": list(found.shape), "wanted": list(wanted.shape)}
    off = np.abs(found.astype("int32") - wanted)
    return {"shape": list(found.shape), "most": float(off.max()), "off": int((off > 1).sum()), "mean": float(found.mean())}


print(json.dumps([compared(asked) for asked in json.loads(sys.argv[1])]))
