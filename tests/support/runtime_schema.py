"""The published JSON schema of OCI runtime configurations, ready to validate with."""

import functools
import json
from typing import Any

import jsonschema
import referencing
from referencing.jsonschema import DRAFT7

from support.specifications import specification

_FILES = ("config-schema.json", "config-linux.json", "defs.json", "defs-linux.json")


@functools.cache
def validator() -> jsonschema.Draft7Validator:
    """Return a validator of whole configurations, or skip the test if the schema is not at hand."""
    documents = {
        name: json.loads(specification(f"oci-runtime/{name}").read_text()) for name in _FILES
    }
    registry: referencing.Registry[Any] = referencing.Registry().with_resources(
        (name, DRAFT7.create_resource(document)) for name, document in documents.items()
    )
    return jsonschema.Draft7Validator({"$ref": "config-schema.json"}, registry=registry)
