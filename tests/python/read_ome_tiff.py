"""What tifffile makes of OME-TIFFs: one JSON object for each path given.

Pixels are told by the sha256 of each level, C order, little-endian, as `microtome checksum` has it.
"""

import hashlib
import json
import sys
import warnings
import xml.etree.ElementTree as ElementTree

import tifffile

warnings.simplefilter("error")


def subfiles(page):
    return [int(each.aspage().subfiletype) for each in [page, *(page.pages or [])]]


def described(path):
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome and len(tiff.series) == 1, path
        series = tiff.series[0]
        levels = []
        for level in series.levels:
            pixels = level.asarray()
            raw = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
            levels.append({"shape": level.shape, "sha256": hashlib.sha256(raw).hexdigest()})
        page = tiff.pages[0]
        root = ElementTree.fromstring(tiff.ome_metadata)
        name = root.tag.split("}")[0] + "}"
        pixels = root.find(f"{name}Image/{name}Pixels")
        annotation = root.find(f"{name}StructuredAnnotations/{name}CommentAnnotation/{name}Value")
        return {
            "axes": series.axes,
            "shape": series.shape,
            "dtype": str(series.dtype),
            "levels": levels,
            "pages": len(tiff.pages),
            "bigtiff": tiff.is_bigtiff,
            "compression": int(page.compression),
            "predictor": int(page.predictor),
            "tile": page.tile,
            "name": root.find(f"{name}Image").get("Name"),
            "channels": [channel.get("Name") for channel in pixels.findall(f"{name}Channel")],
            "pixels": dict(pixels.attrib),
            "uuid": root.get("UUID"),
            "original": None if annotation is None else annotation.text,
            "subfiles": [subfiles(page.aspage()) for page in tiff.pages],
        }


print(json.dumps([described(path) for path in sys.argv[1:]]))
