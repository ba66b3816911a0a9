"""An OME-TIFF of several images, by tifffile, and whether a folder of series holds all of it.

usage: many_images.py make IN.ome.tif | many_images.py check IN.ome.tif OUT.ome.zarr VERSION

`check` demands: a group for each image in order, valid by the published JSON schemas, with equal pixels, names and sizes; the
layout of bioformats2raw, and the OME-XML to the letter where it is looked for. Prints how many images there are.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tifffile
import zarr

import ngff_schemas


def make(path):
    random = np.random.default_rng(3)
    with tifffile.TiffWriter(path, ome=True) as file:
        for n, (shape, dtype) in enumerate([((3, 70, 90), "uint16"), ((2, 50, 40), "uint8"), ((300, 310), "float32")]):
            pixels = (random.random(shape) * 200).astype(dtype)
            axes = "CYX"[-len(shape):]
            sizes = {"PhysicalSizeX": 0.1 + n, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.2, "PhysicalSizeYUnit": "µm"}
            file.write(pixels, photometric="minisblack", metadata={"axes": axes, "Name": f"image {n}", **sizes})
    print("{}")


def check(source, output, version):
    root = zarr.open_group(output, mode="r")
    attributes = dict(root.attrs).get("ome", dict(root.attrs))
    assert attributes["bioformats2raw.layout"] == 3, attributes
    errors = []
    with tifffile.TiffFile(source) as file:
        xml = (Path(output) / "OME" / "METADATA.ome.xml").read_text(encoding="utf-8")
        assert xml == file.ome_metadata
        listed = dict(root["OME"].attrs)
        assert listed.get("ome", listed)["series"] == [str(n) for n in range(len(file.series))]
        for n, series in enumerate(file.series):
            group = root[str(n)]
            errors += ngff_schemas.errors(dict(group.attrs), version, "image")
            says = dict(group.attrs).get("ome", dict(group.attrs))["multiscales"][0]
            scale = says["datasets"][0]["coordinateTransformations"][0]["scale"]
            assert (says["name"], scale[3:]) == (f"image {n}", [0.2, 0.1 + n]), says
            found = group["0"][:]
            assert found.dtype == series.dtype and np.array_equal(found.ravel(), series.asarray().ravel()), n
    assert not errors, errors
    print(len(file.series))


if __name__ == "__main__":
    (make if sys.argv[1] == "make" else check)(*sys.argv[2:])
