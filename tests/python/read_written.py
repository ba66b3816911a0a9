"""Reads arrays that microtome wrote with zarr-python and with tensorstore, and compares their pixels.

usage: read_written.py FOLDER

FOLDER holds `cases.json`, a list of objects with `n`, `dtype` (NumPy's name), `zarr_format` and `levels` (shapes T C Z Y X S), the
OME-Zarr `n.ome.zarr`, and the pixels of each level as `n-LEVEL.bin`, raw in C order. Samples are stored as channels. Prints
how many arrays are equal in both readers.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorstore
import zarr


def main():
    folder = Path(sys.argv[1])
    equal = 0
    for case in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        image = folder / f"{case['n']}.ome.zarr"
        group = zarr.open_group(image, mode="r", zarr_format=case["zarr_format"])
        attributes = dict(group.attrs)
        datasets = attributes.get("ome", attributes)["multiscales"][0]["datasets"]
        assert len(datasets) == len(case["levels"]), case
        for level, shape in enumerate(case["levels"]):
            raw = np.fromfile(folder / f"{case['n']}-{level}.bin", case["dtype"]).reshape(shape)
            t, c, z, y, x, s = shape
            expected = np.moveaxis(raw, 5, 2).reshape(t, c * s, z, y, x)
            path = datasets[level]["path"]
            driver = "zarr" if case["zarr_format"] == 2 else "zarr3"
            store = {"driver": "file", "path": str(image / path)}
            other = tensorstore.open({"driver": driver, "kvstore": store}).result()
            for name, found in (("zarr", group[path][:]), ("tensorstore", other.read().result())):
                assert found.dtype == expected.dtype, (name, case, found.dtype)
                same = np.array_equal(found, expected, equal_nan=expected.dtype.kind in "fc")
                assert same, (name, case, level)
            equal += 1
    print(json.dumps({"equal": equal}))


if __name__ == "__main__":
    main()
