"""The reference of percentiles: NumPy computes what microtome did, and compares.

usage: percentiles.py FOLDER

FOLDER holds `cases.json`, a list of objects with `n`, `shape` (T C Z Y X S), `dtype` and `answer`, and for each the pixels
`n.in`, raw in C order. Prints how many are equal, or what is not.

The rule: `numpy.percentile` of all values that are not NaN, as float64, equal to the last bit. Next to an infinite value
NumPy has NaN even where all the weight is on the finite side; there the finite value is right too.
"""

import json
import sys
from pathlib import Path

import numpy as np


def values_of(answer):
    """The values of an answer; infinite ones are text."""
    return np.array([float(value) for value in answer["values"]])


def check(array, answer):
    values = array.astype(np.float64).ravel()
    values = values[~np.isnan(values)]
    expected = np.percentile(values, answer["of"])
    found = values_of(answer)
    undefined = np.isnan(expected) & np.isinf(values).any()
    return answer["count"] == values.size and bool(np.all((found == expected) | undefined))


def main():
    folder = Path(sys.argv[1])
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    for case in cases:
        array = np.fromfile(folder / f"{case['n']}.in", case["dtype"]).reshape(case["shape"])
        with np.errstate(all="ignore"):
            equal = check(array, case["answer"])
        if not equal:
            raise SystemExit(f"differs: {json.dumps(case)}")
    print(f"{len(cases)} answers equal")


if __name__ == "__main__":
    main()
