"""Images to measure, and whether a table says of them what NumPy finds in what tifffile and zarr-python read.

usage: measure.py write DIR N BAD | kinds DIR | large FILE | sparse FILE GIB | check TABLE [PATH:T:C:Z…]

`write` makes N OME-TIFFs of 2 channels and 2 Z and damages BAD of them in five ways: cut to nothing, cut in the header, cut in
the pixels, a strip of another length, another kind of file; prints their names. `kinds` makes an image of each kind of pixels
and layout. `large` makes one that is handed out in parts, `sparse` one of zeros that takes no room. `check` demands that TABLE, a CSV or, read by pyarrow, a Parquet, has
a row for each plane of each image it names, in order, with the numbers of NumPy: least, greatest and the sum of integers
exactly, all else to 1e-12. Planes that are named must not be there. Prints `rows`, `images`, and `columns` with the types that a Parquet has.
"""

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import tifffile

import pixels

COLUMNS = ["path", "scene", "t", "c", "z", "min", "max", "mean", "std", "sum", "s"]
KINDS = {
    "u8": "uint8", "i8": "int8", "u16": "uint16", "i16": "int16", "u32": "uint32", "i32": "int32", "u64": "uint64",
    "i64": "int64", "f16": "float16", "f32": "float32", "f64": "float64",
}


def noise(seed, shape, dtype):
    """Values over the whole range of a type."""
    random = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (random.standard_normal(shape) * 100).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def damage(path, way):
    """Damages a file in one of five ways."""
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[3].tags["StripByteCounts"]
        last = tif.pages[3].dataoffsets[0]
    if way == 0:
        data = b""
    elif way == 1:
        data = data[:6]
    elif way == 2:
        data = data[: last + 10] if tag.valueoffset < last else data[: tag.valueoffset]
    elif way == 3:
        at = tag.offset + 8
        data = data[:at] + (7).to_bytes(4, "little") + data[at + 4 :]
    else:
        data = b"GIF89a" + data[6:]
    path.write_bytes(data)


def write(folder, count, bad):
    folder = Path(folder)
    folder.mkdir()
    for n in range(count):
        image = noise(n, (2, 2, 16, 24), "uint16")
        tifffile.imwrite(
            folder / f"image{n}.ome.tif", image, metadata={"axes": "CZYX"}, photometric="minisblack", rowsperstrip=16
        )
    names = [f"image{n}.ome.tif" for n in range(0, count, max(count // max(bad, 1), 1))][:bad]
    for way, name in enumerate(names):
        damage(folder / name, way % 5)
    return {"bad": names}


def kinds(folder):
    folder = Path(folder)
    folder.mkdir()
    for n, (name, dtype) in enumerate(KINDS.items()):
        tifffile.imwrite(folder / f"{name}.tif", noise(n, (3, 70, 33), dtype), photometric="minisblack")
    tifffile.imwrite(folder / "rgb.tif", noise(20, (40, 50, 3), "uint8"), photometric="rgb", tile=(16, 16))
    odd = noise(21, (2, 30, 40), "float32")
    odd[0, 3, 4], odd[1, 5, 6] = np.nan, np.inf
    tifffile.imwrite(folder / "odd.tif", odd, photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "flat.tif", np.full((30, 40), 65535, "uint16"), photometric="minisblack")
    import zarr

    array = zarr.create_array(str(folder / "plain.zarr"), shape=(1, 2, 3, 50, 60), chunks=(1, 1, 1, 16, 16), dtype="int16")
    array[...] = noise(22, (1, 2, 3, 50, 60), "int16")
    return {}


def large(path):
    image = noise(23, (2, 5, 2048, 2048), "uint16") >> np.uint16(3)
    tifffile.imwrite(path, image, metadata={"axes": "CZYX"}, photometric="minisblack", ome=True)
    return {}


def sparse(path, gib):
    tifffile.memmap(path, shape=(gib * 256, 2048, 1024), dtype="uint16", photometric="minisblack").flush()
    return {}


def rows_of(table):
    """The rows of a table, as text or numbers, and the types of its columns."""
    if table.endswith(".csv"):
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return rows, list(rows[0]) if rows else COLUMNS
    from pyarrow import parquet

    read = parquet.read_table(table)
    types = [f"{field.name} {field.type}" for field in read.schema]
    assert [field.name for field in read.schema] == COLUMNS, types
    return read.to_pylist(), types


def same(found, expected, exact):
    """Whether a number of a table, as text or as it is, is one of NumPy's."""
    if isinstance(found, str) and exact:
        return int(found) == int(expected)
    found, expected = float(found), float(expected)
    if math.isnan(expected) or math.isinf(expected):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12 * max(1.0, abs(expected)))


def expected_rows(path):
    """What NumPy finds in each plane of an image, in the order T, C, Z, S."""
    image = pixels.read(path)
    whole = image.dtype.kind in "iu"
    if image.ndim == 5:
        image = image[..., np.newaxis]
    for t, c, z, s in np.ndindex(*image.shape[:3], image.shape[5]):
        plane = image[t, c, z, :, :, s]
        wide = plane.astype(object) if whole else plane.astype(np.float64)
        total = sum(int(row) for row in plane.sum(axis=1, dtype=np.uint64 if plane.dtype.kind == "u" else np.int64)) \
            if whole and plane.dtype.itemsize < 8 else wide.sum()
        floats = plane.astype(np.longdouble)
        with np.errstate(invalid="ignore"):
            yield (t, c, z, s), {
                "min": plane.min(), "max": plane.max(), "sum": total, "mean": floats.mean(), "std": floats.std(),
            }, whole


def check(table, *left_out):
    rows, columns = rows_of(table)
    images, at = 0, 0
    while at < len(rows):
        path = rows[at]["path"]
        images += 1
        for place, numbers, whole in expected_rows(path):
            if ":".join([path, *map(str, place[:3])]) in left_out:
                continue
            row = rows[at]
            found = tuple(int(row[name]) for name in ("t", "c", "z", "s"))
            assert (row["path"], int(row["scene"]), found) == (path, 0, place), (row, place)
            for name, number in numbers.items():
                exact = whole and name in ("min", "max", "sum")
                assert same(row[name], number, exact), (row, name, number)
            at += 1
    return {"rows": len(rows), "images": images, "columns": columns}


def main(verb, path, *more):
    verbs = {
        "write": lambda folder, count, bad: write(folder, int(count), int(bad)),
        "kinds": kinds,
        "large": large,
        "sparse": lambda path, gib: sparse(path, int(gib)),
        "check": check,
    }
    print(json.dumps(verbs[verb](path, *more)))


if __name__ == "__main__":
    if "--help" in sys.argv:
        print(__doc__)
    else:
        main(*sys.argv[1:])
