"""The reference of summaries: NumPy computes what microtome did, and compares.

usage: summaries.py FOLDER

FOLDER holds `cases.json`, a list of objects with `n`, `summary`, `params`, `shape` (T C Z Y X S), `dtype` and `answer` (null
where it was refused), and for each the pixels `n.in`, raw in C order. Prints how many are equal, or what is not.

The rules, for all values that are not NaN, as float64:
- `percentiles`: `numpy.percentile`, equal to the last bit. Next to an infinite value NumPy has NaN even where all the weight
  is on the finite side; there the finite value is right too. No value: refused.
- `histogram`: `numpy.histogram`, and how many values lie below and above. No value, or infinite ones without a range: refused.
"""

import json
import sys
from pathlib import Path

import numpy as np


def check_percentiles(values, params, answer):
    if answer is None:
        return values.size == 0
    expected = np.percentile(values, params["of"])
    # Infinite values are text.
    found = np.array([float(value) for value in answer["values"]])
    undefined = np.isnan(expected) & np.isinf(values).any()
    return answer["count"] == values.size and bool(np.all((found == expected) | undefined))


def check_histogram(values, params, answer):
    given = params.get("range")
    if answer is None:
        return values.size == 0 or (given is None and bool(np.isinf(values).any()))
    counts, edges = np.histogram(values[np.isfinite(values)], params["bins"], given)
    low, high = edges[0], edges[-1]
    expected = {"low": low, "high": high, "below": int(np.sum(values < low)), "above": int(np.sum(values > high))}
    return {**expected, "counts": counts.tolist()} == answer


CHECKS = {"percentiles": check_percentiles, "histogram": check_histogram}


def check(array, case):
    values = array.astype(np.float64).ravel()
    return CHECKS[case["summary"]](values[~np.isnan(values)], case["params"], case["answer"])


def main():
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for case in cases:
        array = np.fromfile(folder / f"{case['n']}.in", case["dtype"]).reshape(case["shape"])
        with np.errstate(all="ignore"):
            equal = check(array, case)
        if not equal:
            raise SystemExit(f"differs: {json.dumps(case)}")
    print(f"{len(cases)} answers equal")


if __name__ == "__main__":
    main()
