"""Zarr folders of several images, and whether a copy by microtome kept all of each.

usage: collections_kept.py make KIND IN.zarr | collections_kept.py check IN.zarr OUT.ome.zarr VERSION

KIND is `plate` (2 wells of 2 fields, one with a label), `labels` (an image with 2 labels that have colours, properties and a
source) or `series` (bioformats2raw's layout with OME-XML). `check` demands: the same groups with the same plates, wells,
labels and series; every image valid by the published JSON schemas, with equal pixels, names, colours and windows; every level
of a label made of values that the label has. Prints what it counted.
"""

import json
import sys
from pathlib import Path

import numpy as np
import zarr

import ngff_schemas

KEPT = ["plate", "well", "labels", "bioformats2raw.layout", "series"]
OME_XML = "OME/METADATA.ome.xml"


def image(group, name, random, label=None):
    shape = (1, 1, 2, 300, 520) if label else (1, 2, 2, 300, 520)
    pixels = random.integers(0, 1000, shape).astype("uint16")
    if label:
        pixels = np.repeat(np.repeat(pixels[..., ::10, ::10], 10, -2), 10, -1).astype("int32")
    group.create_array("0", shape=shape, dtype=pixels.dtype, chunks=(1, 1, 1, 128, 128))[:] = pixels
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
    axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = [{"type": "scale", "scale": [2.0, 1, 0.5, 0.1, 0.1]}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "name": name, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    ]
    if label:
        group.attrs["image-label"] = label
        return
    window = {"min": 0, "max": 4095, "start": 17, "end": 999}
    channels = [{"label": c, "color": k, "window": window, "active": True} for c, k in (("A", "FF8000"), ("B", "0080FF"))]
    group.attrs["omero"] = {"version": "0.4", "channels": channels}


def labels(group, random, names):
    folder = group.create_group("labels")
    folder.attrs["labels"] = names
    for name in names:
        label = {
            "version": "0.4",
            "colors": [{"label-value": 1, "rgba": [255, 0, 0, 128]}],
            "properties": [{"label-value": 1, "class": "nucleus"}],
            "source": {"image": "../../"},
        }
        image(folder.create_group(name), name, random, label)


def make(kind, path):
    random = np.random.default_rng(7)
    root = zarr.create_group(path, zarr_format=2)
    if kind == "labels":
        image(root, "cells", random)
        labels(root, random, ["nuclei", "cells"])
    elif kind == "series":
        root.attrs["bioformats2raw.layout"] = 3
        for n in range(2):
            image(root.create_group(str(n)), f"series {n}", random)
        ome = root.create_group("OME")
        ome.attrs["series"] = ["0", "1"]
        (Path(path) / OME_XML).write_text("<OME><!-- two images --></OME>\n", encoding="utf-8")
    else:
        wells = [{"path": f"A/{c + 1}", "rowIndex": 0, "columnIndex": c} for c in range(2)]
        root.attrs["plate"] = {
            "version": "0.4", "name": "screen", "field_count": 2, "rows": [{"name": "A"}],
            "columns": [{"name": "1"}, {"name": "2"}], "wells": wells, "acquisitions": [{"id": 5, "name": "night"}],
        }
        for well in wells:
            group = root.create_group(well["path"])
            group.attrs["well"] = {"version": "0.4", "images": [{"path": str(n), "acquisition": 5} for n in range(2)]}
            for n in range(2):
                image(group.create_group(str(n)), f"{well['path']} {n}", random)
        labels(root["A/1/0"], random, ["nuclei"])
    print("{}")


def groups(root):
    """NGFF attributes by path."""
    found = {"": root} | {path: member for path, member in root.members(max_depth=None) if isinstance(member, zarr.Group)}
    return {path: (group, dict(group.attrs).get("ome", dict(group.attrs))) for path, group in found.items()}


def without_version(value):
    if isinstance(value, dict):
        return {k: without_version(v) for k, v in value.items() if k != "version"}
    return [without_version(v) for v in value] if isinstance(value, list) else value


def check_image(path, one, other, version):
    (was, said), (group, says) = one, other
    for entry, found in zip(said["multiscales"], says["multiscales"]):
        assert entry.get("name") == found.get("name") or not entry.get("name"), path
        arrays = [group[d["path"]][:] for d in found["datasets"]]
        pixels = was[entry["datasets"][0]["path"]][:]
        assert arrays[0].dtype == pixels.dtype and np.array_equal(arrays[0].ravel(), pixels.ravel()), path
        if "image-label" in said:
            values = set(np.unique(pixels).tolist())
            assert all(set(np.unique(a).tolist()) <= values for a in arrays) and found["type"] == "mode", path
    for old, new in zip(said.get("omero", {}).get("channels", []), says.get("omero", {}).get("channels", [])):
        assert all(new[key] == old[key] for key in ("label", "color", "window") if key in old), (path, old, new)
    assert without_version(said.get("image-label")) == without_version(says.get("image-label")), path


def check(source, output, version):
    before, after = groups(zarr.open_group(source, mode="r")), groups(zarr.open_group(output, mode="r"))
    assert set(before) <= set(after), set(before) - set(after)
    errors, counted = [], {"images": 0, "labels": 0, "wells": 0}
    for path, (group, says) in after.items():
        assert group.metadata.zarr_format == (2 if version == "0.4" else 3), path
        said = before[path][1]
        for key in KEPT:
            assert without_version(said.get(key)) == without_version(says.get(key)), (path, key, said, says)
        models = {"multiscales": "image", "image-label": "label", "plate": "plate", "well": "well"}
        for key, model in models.items():
            if key in says:
                errors += [f"{path}: {e}" for e in ngff_schemas.errors(dict(group.attrs), version, model)]
        if "multiscales" in says:
            counted["labels" if "image-label" in says else "images"] += 1
            check_image(path, before[path], after[path], version)
        counted["wells"] += "well" in says
    if (Path(source) / OME_XML).exists():
        assert (Path(source) / OME_XML).read_bytes() == (Path(output) / OME_XML).read_bytes()
    assert not errors, errors
    print(json.dumps(counted))


if __name__ == "__main__":
    (make if sys.argv[1] == "make" else check)(*sys.argv[2:])
