"""The JSON schemas that the NGFF specifications publish, out of the ngff-zarr wheel, whose own code is not run."""

import importlib.util
import json
from pathlib import Path

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPECIFICATIONS = Path(importlib.util.find_spec("ngff_zarr").submodule_search_locations[0]) / "spec"


def errors(attributes, version, model):
    """What the schema of `model` (image, label, plate, well …) objects to in a group's attributes."""
    folder = SPECIFICATIONS / version / "schemas"
    resources = []
    for path in folder.glob("*.schema"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        resource = Resource.from_contents(schema, default_specification=DRAFT202012)
        resources += [(path.name, resource)] + ([(schema["$id"], resource)] if "$id" in schema else [])
    schema = json.loads((folder / f"{model}.schema").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema, registry=Registry().with_resources(resources))
    return [f"schema {model}: {'/'.join(map(str, e.path))}: {e.message}" for e in validator.iter_errors(attributes)]
