"""Says what zarr-python and ome-zarr-models see in an OME-Zarr (0.4, 0.5) or in a plain Zarr array.

usage: read_zarr.py PATH [--validate]

Prints one JSON object. The first level is described at the top (`shape`, `dtype`, `chunks`, `shards`, `sha256` of the
pixels in C order, little-endian), every level in `levels`. `axes` are the letters of the stored order, upper case;
`scale` and `units` are keyed by these letters. With --validate the metadata is checked against ome-zarr-models and against
the published JSON schemas;
`errors` lists what is wrong and the exit code is 1 if there is anything.
"""

import argparse
import json
import sys

import ngff_schemas
import ome_zarr_models.v04
import ome_zarr_models.v05
import zarr

import pixels


def describe_array(array, path=""):
    """Shape, type, storage and pixels of an array."""
    return {
        "path": path,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "chunks": list(array.chunks),
        "shards": list(array.shards) if array.shards else None,
        "dimension_names": list(getattr(array.metadata, "dimension_names", None) or []),
        "sha256": pixels.sha256_stored(array),
    }


def describe_level(group, dataset):
    """An array of a multiscale with its transformations."""
    level = describe_array(group[dataset["path"]], dataset["path"])
    for transformation in dataset.get("coordinateTransformations", []):
        level[transformation["type"]] = transformation[transformation["type"]]
    return level


def describe_image(path):
    """The first image of a group."""
    group, attributes = pixels.image_group(path)
    multiscale = attributes["multiscales"][0]
    axes = "".join(axis["name"] for axis in multiscale["axes"]).upper()
    levels = [describe_level(group, dataset) for dataset in multiscale["datasets"]]
    channels = attributes.get("omero", {}).get("channels", [])
    return levels[0] | {
        "kind": "image",
        "zarr_format": group.metadata.zarr_format,
        "ngff_version": attributes.get("version", multiscale.get("version")),
        "name": multiscale.get("name"),
        "axes": axes,
        "scale": dict(zip(axes, levels[0].get("scale", []))),
        "units": {letter: axis.get("unit") for letter, axis in zip(axes, multiscale["axes"])},
        "channels": [{"name": c.get("label", ""), "color": c.get("color")} for c in channels],
        "levels": levels,
        "attributes": dict(group.attrs),
    }


def validate(path, found):
    """What the specification objects to."""
    if found["kind"] != "image":
        return ["no image: there is nothing to validate in a plain array"]
    models = {"0.4": ome_zarr_models.v04.Image, "0.5": ome_zarr_models.v05.Image}
    model = models.get(found["ngff_version"])
    if model is None:
        return [f"version {found['ngff_version']!r} is none of {', '.join(models)}"]
    group, _ = pixels.image_group(path)
    errors = ngff_schemas.errors(dict(group.attrs), found["ngff_version"], "image")
    try:
        model.from_zarr(group)
    except Exception as error:  # noqa: BLE001, whatever the model raises is the answer
        errors.append(f"{type(error).__name__}: {error}")
    for level in found["levels"] if found["ngff_version"] == "0.5" else []:
        names = [name.upper() if name else name for name in level["dimension_names"]]
        if names != list(found["axes"]):
            errors.append(f"dimension_names of level {level['path']} are {names}, the axes {list(found['axes'])}")
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--validate", action="store_true")
    arguments = parser.parse_args()
    opened = zarr.open(arguments.path, mode="r")
    if isinstance(opened, zarr.Array):
        found = describe_array(opened) | {"kind": "array", "zarr_format": opened.metadata.zarr_format}
    else:
        found = describe_image(arguments.path)
    found["errors"] = validate(arguments.path, found) if arguments.validate else []
    json.dump(found, sys.stdout, indent=1)
    print()
    return 1 if found["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
