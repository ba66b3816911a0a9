"""The reference of tables: shape, type, least, greatest and mean pixel of every image of a folder, as NumPy has them.

usage: min_max_mean.py FOLDER

Prints one JSON object, an entry for each TIFF file and Zarr folder by its name. The three numbers are computed in float64
and written as text, because JSON has no NaN. Exits with 3 where the packages that read images are not installed.
"""

import json
import os
import sys

try:
    import numpy as np

    import pixels
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)


def table(folder):
    """What is known of each image of `folder`."""
    rows = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith((".tif", ".tiff", ".zarr")):
            image = pixels.read(os.path.join(folder, name))
            values = image.astype(np.float64)
            numbers = {"min": values.min(), "max": values.max(), "mean": values.mean()}
            rows[name] = {"shape": list(image.shape), "dtype": image.dtype.name}
            rows[name].update({key: repr(float(number)) for key, number in numbers.items()})
    return rows


def main():
    json.dump(table(sys.argv[1]), sys.stdout)
    print()


if __name__ == "__main__":
    main()
