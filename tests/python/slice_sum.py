"""The reference of regions: sha256 of what NumPy cuts out of an image.

usage: slice_sum.py IN SLICES

SLICES are Python's, one an axis, T C Z Y X: `1:2,1:,2:6,:100,17:150`. Prints one JSON object with `shape`, `dtype` and
`sha256` (C order, little-endian).
"""

import json
import sys

import pixels


def parse(text):
    """`1:2,:` as a tuple of slices."""
    return tuple(slice(*(int(n) if n else None for n in part.split(":"))) for part in text.split(","))


def main():
    cut = pixels.read(sys.argv[1])[parse(sys.argv[2])]
    json.dump({"shape": list(cut.shape), "dtype": cut.dtype.name, "sha256": pixels.sha256(cut)}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
