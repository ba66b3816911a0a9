"""An OME-TIFF by tifffile that says when and where its planes were taken, and what the OME-XML of a file says of it.

usage: taken.py write FILE | read FILE

`write` makes 2 times, 1 channel, 3 planes. `read` prints, by ElementTree from the text that tifffile finds, the objective of
the first image, and when (in seconds), how long and where each of its planes was taken.
"""

import json
import sys
from xml.etree import ElementTree

import numpy as np
import tifffile

SECONDS = {None: 1.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "min": 60.0}


def write(path):
    planes = range(6)
    taken = {
        "DeltaT": [1500.0 * n + 0.5 for n in planes],
        "DeltaTUnit": ["ms"] * 6,
        "ExposureTime": [0.25] * 6,
        "PositionX": [-10.5 + n for n in planes],
        "PositionXUnit": ["µm"] * 6,
        "PositionY": [2.0] * 6,
        "PositionYUnit": ["µm"] * 6,
    }
    pixels = np.zeros((2, 1, 3, 16, 16), "uint16")
    tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata={"axes": "TCZYX", "Plane": taken})
    return read(path)


def read(path):
    with tifffile.TiffFile(path) as tif:
        root = ElementTree.fromstring(tif.ome_metadata)
    space = root.tag.split("}")[0] + "}"
    image = root.find(f"{space}Image")
    return {"objective": objective(root, space, image), "planes": [plane(each) for each in image.iter(f"{space}Plane")]}


def objective(root, space, image):
    settings = image.find(f"{space}ObjectiveSettings")
    if settings is None:
        return None
    named = [each for each in root.iter(f"{space}Objective") if each.get("ID") == settings.get("ID")]
    return {key: named[0].get(key) for key in ("Model", "NominalMagnification", "LensNA", "Immersion")}


def plane(element):
    number = lambda name: None if element.get(name) is None else float(element.get(name))  # noqa: E731
    seconds = lambda name: None if number(name) is None else number(name) * SECONDS[element.get(name + "Unit")]  # noqa: E731
    index = [int(element.get("The" + axis)) for axis in "TCZ"]
    return {"index": index, "delta_t": seconds("DeltaT"), "exposure": seconds("ExposureTime"), "stage": [number("Position" + axis) for axis in "XYZ"]}


if __name__ == "__main__":
    print(json.dumps({"write": write, "read": read}[sys.argv[1]](sys.argv[2])))
