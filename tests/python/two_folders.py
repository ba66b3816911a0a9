"""An OME-TIFF of two files that lie in two folders: `two_folders.py FOLDER` makes FOLDER/image/main.ome.tif, whose second channel is
FOLDER/store/other.ome.tif. Prints the sha256 of both channels, as `microtome checksum` has it.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import tifffile

UUIDS = ["urn:uuid:00000000-0000-4000-8000-00000000000%d" % n for n in range(2)]
NAMES = ["main.ome.tif", "../store/other.ome.tif"]


def document(uuid):
    data = "".join(
        f'<TiffData FirstC="{n}" IFD="0" PlaneCount="1"><UUID FileName="{NAMES[n]}">{UUIDS[n]}</UUID></TiffData>' for n in range(2)
    )
    return (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" SizeY="30" SizeZ="1" SizeC="2" SizeT="1">'
        f'<Channel ID="Channel:0:0"/><Channel ID="Channel:0:1"/>{data}</Pixels></Image></OME>'
    )


def main(folder):
    pixels = np.random.default_rng(5).integers(0, 4096, (2, 30, 40)).astype("uint16")
    for n, name in enumerate(NAMES):
        path = Path(folder) / "image" / name
        path.parent.mkdir(exist_ok=True)
        (Path(folder) / "store").mkdir(exist_ok=True)
        tifffile.imwrite(path, pixels[n], description=document(UUIDS[n]), metadata=None)
    print(json.dumps(hashlib.sha256(pixels.tobytes()).hexdigest()))


main(sys.argv[1])
