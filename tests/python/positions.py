"""An OME-Zarr image that lies somewhere, and where independent readers find another one.

usage: positions.py make IN.zarr VERSION | positions.py read OUT.zarr

`make`: 2 × 40 × 60 pixels (C Y X, in micrometers) at two levels, each with a scale and a translation, and both once more for
the whole image. `read` prints, by ngff-zarr and checked by ome-zarr-models, the translation of each level along z, y and x as
the metadata of the levels and of the whole give it together.
"""

import json
import sys

import ngff_zarr
import numpy as np
import ome_zarr_models.v04
import ome_zarr_models.v05
import zarr


def make(path, version):
    zarr_format = 2 if version == "0.4" else 3
    root = zarr.create_group(path, zarr_format=zarr_format)
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space", "unit": "micrometer"} for a in "yx")]
    datasets = []
    for level in range(2):
        factor = 2**level
        shape = (2, 40 // factor, 60 // factor)
        kind = {"dimension_names": ["c", "y", "x"]} if zarr_format == 3 else {}
        array = root.create_array(str(level), shape=shape, dtype="uint16", chunks=(1, 20, 20), **kind)
        array[:] = np.arange(np.prod(shape)).reshape(shape)
        start = (factor - 1) / 2
        steps = [
            {"type": "scale", "scale": [1, 0.25 * factor, 0.5 * factor]},
            {"type": "translation", "translation": [0, 3 + start * 0.25, 7 + start * 0.5]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    whole = [{"type": "scale", "scale": [1, 2, 2]}, {"type": "translation", "translation": [0, 100, -50]}]
    multiscale = {"name": "far", "axes": axes, "datasets": datasets, "coordinateTransformations": whole}
    if version == "0.4":
        root.attrs["multiscales"] = [multiscale | {"version": version}]
    else:
        root.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    print("{}")


def read(path):
    found = ngff_zarr.from_ngff_zarr(path)
    group = zarr.open_group(path, mode="r")
    model = ome_zarr_models.v04 if group.metadata.zarr_format == 2 else ome_zarr_models.v05
    model.Image.from_zarr(group)
    places = [[float(image.translation[a]) for a in "zyx"] for image in found.images]
    sizes = [[float(image.scale[a]) for a in "zyx"] for image in found.images]
    print(json.dumps({"translation": places, "scale": sizes}))


if __name__ == "__main__":
    (make if sys.argv[1] == "make" else read)(*sys.argv[2:])
