"""Writes a small and a large picture with each codec that TIFF has: seeds for streams that are damaged, and bombs.

usage: write_codecs.py DIR

For each codec DIR has NAME.small.tif, 48 x 40 pixels, and NAME.large.tif, 2500 x 2500 pixels of one value; both have one
strip. What the large one decodes to is never to be had by asking for the small one.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile

PICTURES = {
    "packbits": ("uint8", {"compression": "packbits"}),
    "lzw": ("uint16", {"compression": "lzw"}),
    "deflate": ("uint16", {"compression": "zlib"}),
    "zstd": ("uint16", {"compression": "zstd"}),
    "lzma": ("uint16", {"compression": "lzma"}),
    "jpeg": ("uint8", {"compression": "jpeg"}),
    "jpeg-12": ("uint16", {"compression": "jpeg", "compressionargs": {"bitspersample": 12}}),
    "jpeg-lossless": ("uint16", {"compression": "jpeg", "compressionargs": {"lossless": True, "bitspersample": 16}}),
    "jpeg-rgb": ("rgb", {"compression": "jpeg"}),
    "jpeg2000": ("uint16", {"compression": "jpeg2000"}),
    "jpeg2000-rgb": ("rgb", {"compression": "jpeg2000", "compressionargs": {"level": 40}}),
    "webp": ("rgb", {"compression": "webp", "compressionargs": {"lossless": True}}),
    "webp-lossy": ("rgb", {"compression": "webp", "compressionargs": {"level": 80, "lossless": False}}),
    "png": ("uint16", {"compression": "png"}),
    "jpegxl": ("uint16", {"compression": "jpegxl", "compressionargs": {"lossless": True}}),
    "jpegxl-lossy": ("rgb", {"compression": "jpegxl", "compressionargs": {"distance": 1.0}}),
    "lerc": ("float32", {"compression": "lerc"}),
    "lerc-zstd": ("uint16", {"compression": "lerc", "compressionargs": {"compression": "zstd"}}),
}


def picture(kind, size):
    """A gradient with noise, or, if it is large, one value."""
    y, x = size
    dtype = "uint8" if kind == "rgb" else kind
    shape = (y, x, 3) if kind == "rgb" else (y, x)
    if y > 1000:
        return np.full(shape, 7, dtype)
    rng = np.random.default_rng(y)
    slope = np.arange(y * x).reshape(y, x) * 200 // (y * x)
    values = (slope if kind != "rgb" else slope[..., None]) + rng.integers(0, 40, shape)
    return (values * (16 if kind == "uint16" else 1)).astype(dtype)


def write(path, kind, size, options):
    data = picture(kind, size)
    photometric = "rgb" if kind == "rgb" else "minisblack"
    tifffile.imwrite(path, data, photometric=photometric, rowsperstrip=size[0], metadata=None, **options)
    assert tifffile.imread(path).shape == data.shape


def write_faxes(folder):
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    for codec in ("tiff_ccitt", "group3", "group4"):
        for what, (y, x) in (("small", (48, 40)), ("large", (2500, 2500))):
            rows, columns = np.mgrid[:y, :x]
            dots = ((columns // 5 + rows // 3) % 3 == 0) & (y < 1000)
            Image.fromarray(dots).save(folder / f"{codec}.{what}.tif", compression=codec, tiffinfo={278: y})


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, options) in PICTURES.items():
        write(folder / f"{name}.small.tif", kind, (48, 40), options)
        write(folder / f"{name}.large.tif", kind, (2500, 2500), options)
    write_faxes(folder)


if __name__ == "__main__":
    main()
