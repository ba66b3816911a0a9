"""Writes a matrix of TIFF variants with tifffile and imagecodecs, the same bytes on every run.

usage: write_matrix.py DIR

DIR/manifest.json is a list with an entry for each file: `file`, `axes` (letters of TCZYXS, in this order), `shape` and
`sha256` of the pixels in the order of `axes` (C order, little-endian), `dtype`, and how it is stored: `byteorder`,
`bigtiff`, `compression`, `predictor`, `tile` (or null), `rowsperstrip` (or null), `planar`. Those of codec_matrix.py have
no such details, but a `tolerance` if they are lossy, and `raw`, the file of their pixels; `palette` is the sha256 of the colours of
indices, 16 bits of red, green and blue each.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import tifffile

import codec_matrix
import pixels

INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "float32", "float64"]
CODECS = ["lzw", "deflate", "zstd"]
TIFFFILE_CODEC = {"none": None, "deflate": "zlib", "old-deflate": "deflate"}
LAYOUTS = [{"rowsperstrip": 7}, {"tile": (16, 32)}, {"rowsperstrip": 1}, {"tile": (32, 16)}, {"rowsperstrip": 64}]


def picture(name, shape, dtype):
    """Pixels of a type: a ramp with noise, which compresses a little, and the extreme values of the type."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    size = int(np.prod(shape))
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return (picture(name + "re", shape, part) + 1j * np.nan_to_num(picture(name + "im", shape, part))).astype(dtype)
    if dtype.kind == "f":
        values = (np.linspace(-1000, 1000, size) + rng.integers(-8, 8, size)).astype(dtype)
        limits = np.finfo(dtype)
        extremes = [np.nan, np.inf, -np.inf, -0.0, limits.max, limits.min, limits.smallest_subnormal]
    else:
        limits = np.iinfo(dtype)
        step = max(limits.max // (2 * size), 1)
        values = (np.arange(size, dtype=dtype) * dtype.type(step)) ^ rng.integers(0, 8, size, dtype=dtype)
        extremes = [limits.min, limits.max]
    places = rng.choice(size, min(size, len(extremes)), replace=False)
    values[places] = np.array(extremes[:size], dtype)
    return values.reshape(shape)


class Matrix:
    """Collects the variants; strips, tiles and byte orders take turns, so that each meets each type and codec."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = []

    def add(self, dtype, *, compression="none", predictor=1, axes="YX", shape=(37, 53), planar=False, **options):
        turn = len(self.entries)
        byteorder = options.pop("byteorder", "<>"[(turn + turn // 2 + turn // 8) % 2])
        layout = options.pop("layout", LAYOUTS[turn % len(LAYOUTS)])
        order = {"<": "le", ">": "be"}[byteorder]
        parts = [f"{turn:03}", dtype, order, compression, f"p{predictor}", next(iter(layout))]
        parts += [axes.lower()] * (axes != "YX") + ["planar"] * planar + ["big"] * bool(options.get("bigtiff"))
        name = "-".join(parts) + ".tif"
        data = picture(name, shape, dtype)
        written = np.moveaxis(data, -1, -3) if planar else data
        self.write(name, written, byteorder, compression, predictor, axes, planar, layout | options)
        self.entries.append({
            "file": name, "axes": axes, "shape": list(shape), "dtype": dtype, "sha256": pixels.sha256(data),
            "byteorder": byteorder, "bigtiff": bool(options.get("bigtiff")), "compression": compression,
            "predictor": predictor, "tile": layout.get("tile"), "rowsperstrip": layout.get("rowsperstrip"),
            "planar": planar,
        })  # fmt: skip

    def path(self, name, dtype):
        """The path of the next variant."""
        return self.folder / f"{len(self.entries):03}-{name}-{dtype}.tif"

    def noise(self, dtype, shape=(37, 53)):
        """Integers of the whole range of a type."""
        rng = np.random.default_rng(len(self.entries))
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)

    def save(self, path, data, *, compression="none", photometric=None, **options):
        """Writes a file of these options of tifffile."""
        codec = TIFFFILE_CODEC.get(compression, compression)
        photometric = photometric or ("miniswhite" if data.dtype == bool else "minisblack")
        tifffile.imwrite(path, data, compression=codec, photometric=photometric, metadata=None, **options)

    def variant(self, name, data, *, tolerance=0, predictor=1, exact=True, **options):
        """Writes a variant whose pixels are those that tifffile reads back: if `exact`, those that were written."""
        path = self.path(name, data.dtype)
        self.save(path, data, predictor=predictor if predictor > 1 else None, **options)
        self.note(path, expected=data if exact and not tolerance else None, tolerance=tolerance)

    def note(self, path, *, expected=None, tolerance=0):
        """Adds a file that was written to the manifest, with the pixels that tifffile finds."""
        with tifffile.TiffFile(path) as tif:
            page = tif.pages[0]
            found, axes, colours = page.asarray(), page.axes, page.colormap
        assert expected is None or np.array_equal(found, expected), f"{path.name} is not read back as it was written"
        if axes == "SYX":
            found, axes = np.moveaxis(found, 0, -1), "YXS"
        entry = {"file": path.name, "axes": axes, "shape": list(found.shape), "dtype": str(found.dtype)}
        entry |= {"sha256": pixels.sha256(found), "tolerance": tolerance}
        if colours is not None:
            entry["palette"] = pixels.sha256(colours.T)
        self.entries.append(entry | ({"raw": codec_matrix.raw(path, found)} if tolerance else {}))

    def write(self, name, data, byteorder, compression, predictor, axes, planar, options):
        """Writes the file and reads it back."""
        if "S" in axes:
            options |= {"photometric": "rgb", "planarconfig": "separate" if planar else "contig"}
            options |= {"extrasamples": ["unassalpha"]} if data.shape[-3 if planar else -1] == 4 else {}
        else:
            options |= {"photometric": "minisblack"}
        codec = TIFFFILE_CODEC.get(compression, compression)
        path = self.folder / name
        tifffile.imwrite(
            path, data, byteorder=byteorder, compression=codec, predictor=predictor if predictor > 1 else None,
            metadata=None, **options,
        )  # fmt: skip
        same = np.array_equal(tifffile.imread(path), data, equal_nan=data.dtype.kind in "fc")
        assert same, f"{name} is not read back as it was written"


def build(matrix):
    for dtype in INTEGERS + FLOATS:
        for byteorder in "<>":
            matrix.add(dtype, byteorder=byteorder)
        for codec in CODECS:
            matrix.add(dtype, compression=codec)
            matrix.add(dtype, compression=codec, predictor=3 if dtype in FLOATS else 2)
    for dtype in ("uint16", "float32"):
        for codec in CODECS:
            for byteorder in "<>":
                matrix.add(dtype, compression=codec, predictor=3 if dtype == "float32" else 2, byteorder=byteorder)
    build_samples(matrix)
    build_stacks(matrix)
    for dtype in ("complex64", "complex128"):
        matrix.add(dtype)
        matrix.add(dtype, compression="deflate")
    for dtype in ("uint8", "int16"):
        matrix.add(dtype, compression="packbits")
        matrix.add(dtype, compression="old-deflate")


def build_samples(matrix):
    """RGB and RGBA, interleaved and in separate planes."""
    for samples in (3, 4):
        for planar in (False, True):
            for dtype, codec, predictor in (
                ("uint8", "none", 1),
                ("uint8", "lzw", 2),
                ("uint16", "deflate", 2),
                ("float32", "zstd", 3),
            ):
                shape = (37, 53, samples)
                matrix.add(dtype, compression=codec, predictor=predictor, axes="YXS", shape=shape, planar=planar)


def build_stacks(matrix):
    """Several pages, and BigTIFF."""
    for bigtiff in (False, True):
        for dtype, codec in (("uint16", "none"), ("uint8", "zstd"), ("float32", "deflate")):
            matrix.add(dtype, compression=codec, axes="ZYX", shape=(5, 37, 53), bigtiff=bigtiff)
    matrix.add("uint8", axes="ZYXS", shape=(3, 20, 30, 3), compression="lzw")
    matrix.add("uint16", bigtiff=True, shape=(1, 1), layout={"rowsperstrip": 1})
    matrix.add("uint16", shape=(1, 300), layout={"tile": (16, 16)}, compression="lzw", predictor=2)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    matrix = Matrix(folder)
    build(matrix)
    codec_matrix.build(matrix)
    (folder / "manifest.json").write_text(json.dumps(matrix.entries, indent=1) + "\n", encoding="utf-8")
    print(f"{len(matrix.entries)} files in {folder}")


if __name__ == "__main__":
    main()
