"""The reference of projections: what NumPy makes of an image along an axis.

usage: reduce.py IN AXIS METHOD [--dtype D] [--save FILE.npy]

IN is a TIFF, an OME-Zarr or a plain Zarr array; AXIS is t, c or z; METHOD is max, min, sum or mean. Prints one JSON
object with `shape`, `dtype` and `sha256` (C order, little-endian) of the result as T C Z Y X (S), the axis having
length 1.

The rules, each chosen so that the result is the same bits however the work is cut:
- max, min keep the type; NaN as in NumPy.
- sum of bool and unsigned integers is uint64, of signed ones int64; a sum that does not fit is an error. With --dtype
  float64 the exact sum is rounded once. A sum of floats keeps the type.
- mean keeps the type: of integers the exact quotient rounded half to even. With --dtype float32 or float64 the exact
  sum of integers is rounded to float64, divided, and rounded to the type.
- sums of floats are added in float64 in a tree over the index along the axis (see `tree`), the mean divides the sum by
  the length in float64, and the result is rounded once to the type. A NaN of a sum or mean is the positive quiet NaN.
"""

import argparse
import json
import sys

import numpy as np

import pixels


def tree(planes):
    """The sum of float64 arrays in a fixed order: the largest power of two below the length first, then the rest."""
    if len(planes) == 1:
        return planes[0].astype(np.float64)
    split = 1 << ((len(planes) - 1).bit_length() - 1)
    return tree(planes[:split]) + tree(planes[split:])


def exact_sum(planes):
    """The sum of integers without overflow: Python's integers where 64 bits could be passed."""
    wide = planes.dtype.itemsize < 8 and len(planes) < 1 << 31
    return planes.sum(axis=0, dtype=np.int64 if wide else object)


def half_even_quotient(total, count):
    """`total / count`, rounded half to even, in integers."""
    floor, rest = total // count, total % count
    up = (2 * rest > count) | ((2 * rest == count) & (floor % 2 == 1))
    return floor + up


def sum_integers(planes, dtype):
    total = exact_sum(planes)
    if dtype.kind == "f":
        return total.astype(dtype)
    limits = np.iinfo(dtype)
    if total.size and (total.min() < limits.min or total.max() > limits.max):
        raise SystemExit(f"the sum does not fit {dtype.name}")
    return total.astype(dtype)


def mean_integers(planes, dtype):
    total = exact_sum(planes)
    if dtype.kind == "f":
        return (total.astype(np.float64) / np.float64(len(planes))).astype(dtype)
    return half_even_quotient(total, len(planes)).astype(dtype)


def reduce_floats(planes, method, dtype):
    total = tree(planes)
    if method == "mean":
        total = total / np.float64(len(planes))
    result = total.astype(dtype)
    result[np.isnan(result)] = np.nan
    return result


def result_type(planes, method, asked):
    """The type of the result by the rules above."""
    if asked:
        return np.dtype(asked)
    if method == "sum" and planes.dtype.kind in "bui":
        return np.dtype(np.int64 if planes.dtype.kind == "i" else np.uint64)
    return planes.dtype.newbyteorder("=")


def reduce(array, axis, method, asked=None):
    """Projects axis number `axis` of an array to length 1."""
    planes = np.moveaxis(array, axis, 0)
    dtype = result_type(planes, method, asked)
    with np.errstate(all="ignore"):
        if method in ("max", "min"):
            result = getattr(planes, method)(axis=0).astype(dtype)
        elif planes.dtype.kind == "f":
            result = reduce_floats(planes, method, dtype)
        elif method == "sum":
            result = sum_integers(planes, dtype)
        else:
            result = mean_integers(planes, dtype)
    return np.expand_dims(result, axis)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("axis", type=str.upper, choices=["T", "C", "Z"])
    parser.add_argument("method", choices=["max", "min", "sum", "mean"])
    parser.add_argument("--dtype")
    parser.add_argument("--level", type=int, default=0)
    parser.add_argument("--save")
    arguments = parser.parse_args()
    array = pixels.read(arguments.path, arguments.level)
    result = reduce(array, pixels.CANONICAL.index(arguments.axis), arguments.method, arguments.dtype)
    if arguments.save:
        np.save(arguments.save, result)
    answer = {"shape": list(result.shape), "dtype": result.dtype.name, "sha256": pixels.sha256(result)}
    json.dump(answer, sys.stdout)
    print()


if __name__ == "__main__":
    main()
