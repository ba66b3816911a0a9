"""The reference of filters and of block means: SciPy and NumPy compute what microtome did, and compare.

usage: neighbours.py FOLDER

FOLDER holds `cases.json`, a list of objects with `n`, `op`, `params`, `shape` (T C Z Y X S), `dtype`, `out` (shape) and
`out_dtype`, and for each the pixels `n.in` and `n.out`, raw in C order. Prints how many are equal, or what is not.

The rules:
- `downsample`: block means. Of integers (and of bool as 0 and 1) the exact quotient, rounded half to even. Floats are added
  in float64, each row of the block along X from left to right and then the rows in C order, divided, and rounded once.
  Other methods: `numpy.median` (exact for integers, rounded half to even), the most frequent value and of several the
  smallest, `array[::f]`, and `scipy.ndimage.correlate1d` with weights exp(-4 ln 2 d^2 / (f^2 - 1)), d from the block's middle.
- `gaussian`: `scipy.ndimage.gaussian_filter` on float64, mode `reflect`, then rounded to the type. The weights may differ
  in their last bits, so a value may be rounded the other way where it lies that close to the middle of two.
"""

import itertools
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import ndimage

AXES = "tczyxs"


def block_mean(block, dtype):
    """The mean of a block with axes T C Z Y X."""
    if dtype.kind != "f":
        values = [int(value) for value in block.ravel()]
        return round(Fraction(sum(values), len(values)))
    rows = block.astype(np.float64).reshape(-1, block.shape[-1])
    total = None
    for row in rows:
        line = row[0]
        for value in row[1:]:
            line = line + value
        total = line if total is None else total + line
    return dtype.type(total / np.float64(block.size))


def block_median(block, dtype):
    if dtype.kind != "f":
        values = sorted(int(value) for value in block.ravel())
        return round(Fraction(values[(len(values) - 1) // 2] + values[len(values) // 2], 2))
    return dtype.type(np.median(block.astype(np.float64)))


def block_mode(block, dtype):
    if dtype.kind == "f" and np.isnan(block).any():
        return dtype.type(np.nan)
    values, counts = np.unique(block, return_counts=True)
    return values[np.argmax(counts)]


def block_first(block, dtype):
    return block[(0,) * block.ndim]


METHODS = {"mean": block_mean, "median": block_median, "mode": block_mode, "nearest": block_first}


def gaussian_levels(array, factors):
    """Each axis correlated with weights around the middle of each block, and every f-th pixel of that, in float64."""
    result = array.astype(np.float64)
    for axis, f in enumerate(factors):
        if f == 1:
            continue
        sigma = np.sqrt((f * f - 1) / (8 * np.log(2)))
        beyond = int(4 * sigma - (f - 1) / 2)
        d = np.arange(-beyond, f + beyond) - (f - 1) / 2
        weights = np.exp(-4 * np.log(2) * d * d / (f * f - 1))
        weights /= weights.sum()
        # SciPy puts the middle of n weights at n // 2; the first weight belongs `beyond` pixels before the block.
        blocks = np.arange(0, array.shape[axis], f)
        padding = [(0, 0)] * array.ndim
        padding[axis] = (beyond, f + beyond)
        padded = np.pad(result, padding, mode="edge")
        all_places = ndimage.correlate1d(padded, weights, axis=axis, mode="nearest")
        result = np.take(all_places, blocks + len(weights) // 2, axis=axis)
    return result


def downsample(array, params):
    method = METHODS[params.get("method", "mean")]
    factors = [params["factor"].get(axis, 1) for axis in AXES]
    shape = [-(-extent // factor) for extent, factor in zip(array.shape, factors)]
    result = np.empty(shape, array.dtype)
    for index in itertools.product(*map(range, shape)):
        block = tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors))
        result[index] = method(array[block][..., 0], array.dtype)
    return result


def same_bits(found, expected):
    """Equal, with every NaN equal to every other."""
    return np.array_equal(found, expected, equal_nan=found.dtype.kind == "f")


def check_downsample(array, params, found):
    if params["method"] == "gaussian":
        factors = [params["factor"].get(axis, 1) for axis in AXES]
        return check_close(array, gaussian_levels(array, factors), found)
    expected = downsample(array, params)
    return found.dtype == expected.dtype and same_bits(found, expected)


def check_gaussian(array, params, found):
    sigma = [params["sigma"].get(axis, 0) for axis in AXES]
    wide = array.astype(np.float64)
    expected = ndimage.gaussian_filter(wide, sigma, mode="reflect", truncate=params.get("truncate", 4.0))
    return check_close(array, expected, found)


def check_close(array, expected, found):
    """Equal but for the last bits of the sums, before they are rounded to the pixel type."""
    wide = array.astype(np.float64)
    finite = np.abs(wide[np.isfinite(wide)])
    error = 1e-14 * finite.max(initial=0)
    if found.dtype.kind != "f":
        near_middle = np.abs(np.abs(expected - np.floor(expected)) - 0.5) <= error
        off = np.abs(found.astype(np.float64) - np.rint(expected))
        return bool(np.all((off <= error) | (near_middle & (off <= 1 + error))))
    rounded = expected.astype(found.dtype)
    same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    close = np.abs(found - expected) <= error + np.spacing(np.abs(rounded)).astype(np.float64)
    return bool(np.all(same | close)) and (found.dtype.itemsize == 8 or np.mean(same) > 0.99)


CHECKS = {"downsample": check_downsample, "gaussian": check_gaussian}


def main():
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for case in cases:
        array = np.fromfile(folder / f"{case['n']}.in", case["dtype"]).reshape(case["shape"])
        found = np.fromfile(folder / f"{case['n']}.out", case["out_dtype"]).reshape(case["out"])
        with np.errstate(all="ignore"):
            equal = CHECKS[case["op"]](array, case["params"], found)
        if not equal:
            raise SystemExit(f"differs: {json.dumps(case)}")
    print(f"{len(cases)} results equal")


if __name__ == "__main__":
    main()
