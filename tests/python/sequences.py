"""Files that are one image together, written by tifffile, and what tifffile, zarr-python and ome-zarr-models find.

usage: sequences.py frames DIR | plate DIR | wells DIR | one FILE | set DIR FILES PLANES | pages FILE N | check PLATE.zarr DIR

`frames` writes DIR/img_t000_cDAPI.tif …, 4 times, 2 channels, 5 pages each, and prints the sha256 of T C Z Y X. `plate` writes
OME-TIFFs named by well and field; `wells` the same with names that say nothing and wells in their OME-XML; `one` an
OME-TIFF of 3 channels and 10 Z. `set` writes an OME-TIFF set of FILES files of PLANES planes, each with the OME-XML of all; a
large one has it in a file of its own. `pages` writes a file of N small pages. `check` demands that a plate has the wells, fields
and pixels of DIR, is valid by ome-zarr-models, and prints what it counted.
"""

import hashlib
import json
import sys
import uuid
import warnings
from pathlib import Path

import numpy as np
import tifffile

WELLS = ["A01", "A02", "B10", "C10"]
FIELDS = [1, 2]
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def random(seed, shape, dtype):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def frames(folder):
    pixels = random(1, (4, 2, 5, 32, 40), "uint16")
    for t in range(4):
        for c, name in enumerate(["DAPI", "GFP"]):
            path = folder / f"img_t{t:03}_c{name}.tif"
            tifffile.imwrite(path, pixels[t, c], photometric="minisblack", metadata=None if t else {})
    return {"sha256": hashlib.sha256(pixels.tobytes()).hexdigest(), "max_t": hashlib.sha256(pixels.max(0).tobytes()).hexdigest()}


def field(well, number):
    return random(hash_of(well) + number, (2, 3, 30, 36), "uint8")


def one(path):
    tifffile.imwrite(path, random(2, (3, 10, 16, 16), "uint8"), metadata={"axes": "CZYX"}, photometric="minisblack")
    return {}


def hash_of(well):
    return ord(well[0]) * 1000 + int(well[1:]) * 10


def plate(folder, in_metadata=False):
    metadata = {"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["a", "b"]}}
    for n, (well, number) in enumerate((well, number) for well in WELLS for number in FIELDS):
        name = f"image{n}.ome.tif" if in_metadata else f"{well}_s{number}.ome.tif"
        tifffile.imwrite(folder / name, field(well, number), metadata=metadata, photometric="minisblack")
        if in_metadata:
            place = (
                f'<Plate ID="Plate:0" Name="P7"><Well ID="Well:0" Row="{ord(well[0]) - 65}" Column="{int(well[1:]) - 1}">'
                f'<WellSample ID="S:0" Index="{number}"><ImageRef ID="Image:0"/></WellSample></Well></Plate>'
            )
            xml = tifffile.tiffcomment(folder / name).replace("</OME>", f"{place}</OME>")
            tifffile.tiffcomment(folder / name, xml.encode())
    return {"files": n + 1}


def tiff_set(folder, files, planes):
    names = [f"plane{n:04}.ome.tif" for n in range(files)]
    ids = [f"urn:uuid:{uuid.UUID(int=n)}" for n in range(files)]
    data = "".join(
        f'<TiffData FirstZ="{z}" FirstT="{t}" IFD="{z}" PlaneCount="1"><UUID FileName="{name}">{ids[t]}</UUID></TiffData>'
        for t, name in enumerate(names)
        for z in range(planes)
    )
    apart = files * planes > 10_000  # then not each file has the text of all
    head = f'<?xml version="1.0"?><OME xmlns="{NAMESPACE}"'
    pixels = (
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="16" SizeY="16" '
        f'SizeZ="{planes}" SizeC="1" SizeT="{files}"><Channel ID="C:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
    )
    if apart:
        (folder / "set.companion.ome").write_text(f"{head}>{pixels}")
    hash = hashlib.sha256()
    for t, name in enumerate(names):
        block = (np.arange(planes * 256, dtype="uint32").reshape(planes, 16, 16) + 7 * t).astype("uint8")
        hash.update(block.tobytes())
        xml = f'{head} UUID="{ids[t]}">{pixels}'
        if apart:
            xml = f'{head} UUID="{ids[t]}"><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:0"/></OME>'
        with tifffile.TiffWriter(folder / name) as tiff:
            tiff.write(block, description=xml, metadata=None, photometric="minisblack")
    return {"sha256": hash.hexdigest(), "xml": len(xml)}


def pages(path, count):
    page = np.zeros((8, 8), "uint8")
    with tifffile.TiffWriter(path) as tiff:
        for _ in range(count):
            tiff.write(page, metadata=None, contiguous=False)
    return {"pages": count}


def check(path, folder):
    import zarr
    from ome_zarr_models.v05.hcs import HCS

    warnings.simplefilter("ignore")
    group = zarr.open_group(path, mode="r")
    model = HCS.from_zarr(group)
    said = model.ome_attributes.plate
    assert [row.name for row in said.rows] == ["A", "B", "C"], said.rows
    assert [column.name for column in said.columns] == ["1", "2", "10"], said.columns
    assert said.field_count == len(FIELDS)
    found = [(w.path, w.rowIndex, w.columnIndex) for w in said.wells]
    assert found == [("A/1", 0, 0), ("A/2", 0, 1), ("B/10", 1, 2), ("C/10", 2, 2)], found
    images = 0
    for well in WELLS:
        place = group[f"{well[0]}/{int(well[1:])}"]
        named = place.attrs["ome"]["well"]["images"]
        assert [image["path"] for image in named] == [str(number) for number in FIELDS], named
        for image, number in zip(named, FIELDS):
            pixels = place[image["path"]]["0"][0]
            np.testing.assert_array_equal(pixels, field(well, number))
            by_tifffile = folder / f"{well}_s{number}.ome.tif"
            if by_tifffile.exists():
                np.testing.assert_array_equal(pixels, tifffile.imread(by_tifffile))
            images += 1
    return {"wells": len(found), "images": images, "name": said.name}


def main(verb, path, *more):
    path = Path(path)
    if verb in ("frames", "plate", "wells", "set"):
        path.mkdir()
    made = {
        "frames": frames,
        "plate": plate,
        "wells": lambda folder: plate(folder, in_metadata=True),
        "one": one,
        "set": lambda folder, files, planes: tiff_set(folder, int(files), int(planes)),
        "pages": lambda file, count: pages(file, int(count)),
        "check": lambda zarr, folder: check(zarr, Path(folder)),
    }
    print(json.dumps(made[verb](path, *more)))


main(*sys.argv[1:])
