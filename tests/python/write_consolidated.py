"""A group of arrays with consolidated metadata, as zarr-python writes it.

usage: write_consolidated.py v2|v3 DIR

Writes DIR/plain: two arrays, and two in a group in a group. Prints their paths.
"""

import json
import sys
import warnings

import numpy as np
import zarr

version, folder = sys.argv[1:]
warnings.simplefilter("ignore")
path = f"{folder}/plain"
root = zarr.create_group(path, zarr_format=int(version[1]))
random = np.random.default_rng(5)
paths = ["a", "b", "deep/er/c", "deep/er/d"]
for name in paths:
    array = root.create_array(name, shape=(3, 40, 50), dtype="uint16", chunks=(1, 32, 32))
    array[:] = random.integers(0, 1000, array.shape)
zarr.consolidate_metadata(path)
print(json.dumps({"arrays": paths}))
