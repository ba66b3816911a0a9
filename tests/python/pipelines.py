"""Recomputes pipelines with NumPy and compares pixels: pipelines.py DIR

DIR holds cases.json and, for each case n, the raw bytes n.in (the whole input, TCZYXS, C order) and n.out (the result).
Rules that are ours and not NumPy's: integer means are rounded half to even; casts to integers round half to even and
clamp, NaN becomes 0; float sums and means are added in float64 by a dyadic tree on the index, then rounded once.
"""
import json
import pathlib
import sys

import numpy as np


def tree(a):
    n = len(a)
    if n == 1:
        return a[0].astype(np.float64)
    split = 1 << ((n - 1).bit_length() - 1)
    return tree(a[:split]) + tree(a[split:])


def project(a, axis, method):
    n = a.shape[axis]
    if method in ("max", "min"):
        return getattr(np, method)(a, axis=axis, keepdims=True)
    if a.dtype.kind == "f":
        total = tree(np.moveaxis(a, axis, 0))
        total = total if method == "sum" else total / n
        return np.expand_dims(total, axis).astype(a.dtype)
    total = a.sum(axis=axis, keepdims=True, dtype=np.int64 if a.dtype.kind == "i" else np.uint64)
    if method == "sum":
        return total
    exact = total.astype(object)
    rounded = np.vectorize(lambda t: half_even(int(t), n), otypes=[object])(exact)
    return rounded.astype(a.dtype)


def half_even(total, n):
    quotient, rest = divmod(total, n)
    if 2 * rest > n or (2 * rest == n and quotient % 2 == 1):
        quotient += 1
    return quotient


def cast(a, dtype):
    dtype = np.dtype(dtype)
    if dtype == a.dtype:
        return a
    if dtype.kind == "f":
        return a.astype(dtype)
    info = np.iinfo(dtype)
    if a.dtype.kind == "f":
        rounded = np.rint(np.nan_to_num(a.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf))
        return np.clip(rounded, float(info.min), float(info.max)).astype(dtype)
    # Compared as Python integers: a clip between uint64 and int64 would go through float64.
    clamp = np.vectorize(lambda v: min(max(int(v), int(info.min)), int(info.max)), otypes=[object])
    return clamp(a.astype(object)).astype(dtype)


def run(case, folder):
    a = np.fromfile(folder / f"{case['n']}.in", dtype=case["dtype"]).reshape(case["shape"])
    for step in case["steps"]:
        if "crop" in step:
            a = a[tuple(slice(lo, hi) for lo, hi in step["crop"])]
        elif "project" in step:
            a = project(a, step["project"], step["method"])
        else:
            a = cast(a, step["cast"])
    return np.ascontiguousarray(a)


def main(folder):
    bad = 0
    cases = json.loads((folder / "cases.json").read_text())
    for case in cases:
        expected = run(case, folder)
        found = np.fromfile(folder / f"{case['n']}.out", dtype=case["out_dtype"]).reshape(case["out"])
        same = expected.dtype == found.dtype and expected.shape == found.shape
        if not same or expected.tobytes() != found.tobytes():
            bad += 1
            print("DIFFERENT", json.dumps(case), expected.dtype, expected.shape)
    print(f"{len(cases) - bad} pipelines equal")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
