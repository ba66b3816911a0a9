"""What tifffile makes of an OME-TIFF of several images: one JSON object for each image, in order.

Pixels are told by the sha256 of each level, C order, little-endian, as `microtome checksum` has it; wells as the OME-XML has
them: plate, row, column, field.
"""

import hashlib
import json
import sys
import warnings
import xml.etree.ElementTree as ElementTree

import tifffile

warnings.simplefilter("error")


def wells(root, name):
    found = {}
    for plate in root.findall(f"{name}Plate"):
        for well in plate.findall(f"{name}Well"):
            for sample in well.findall(f"{name}WellSample"):
                place = [plate.get("Name"), int(well.get("Row")), int(well.get("Column")), int(sample.get("Index"))]
                found[sample.find(f"{name}ImageRef").get("ID")] = place
    return found


def described(path):
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome, path
        root = ElementTree.fromstring(tiff.ome_metadata)
        name = root.tag.split("}")[0] + "}"
        images = root.findall(f"{name}Image")
        assert len(images) == len(tiff.series), path
        of_image = wells(root, name)
        for image, series in zip(images, tiff.series):
            sums = []
            for level in series.levels:
                pixels = level.asarray()
                raw = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
                sums.append(hashlib.sha256(raw).hexdigest())
            channels = [channel.get("Name") for channel in image.findall(f"{name}Pixels/{name}Channel")]
            yield {
                "name": image.get("Name"), "shape": series.shape, "dtype": str(series.dtype), "levels": sums,
                "channels": channels, "well": of_image.get(image.get("ID")),
            }


print(json.dumps(list(described(sys.argv[1]))))
