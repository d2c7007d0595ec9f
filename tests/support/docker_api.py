"""The Docker Engine API's own definitions, to hold our documents to.

They are Swagger 2; the two dialects differ in how null is allowed. Fields that no definition names
are refused too, so that a misspelt one can't pass.
"""

import functools
from typing import Any

import jsonschema
import yaml

from support.specifications import specification

FILE = "docker-engine-api/v1.50.yaml"


def require_shape(definition: str, document: object) -> None:
    """Hold a document to a definition such as "ContainerSummary".

    Raises:
        jsonschema.ValidationError: it differs; the message says where.
    """
    schema = {**definitions(), "$ref": f"#/definitions/{definition}"}
    jsonschema.Draft202012Validator(schema).validate(document)


@functools.cache
def definitions() -> dict[str, Any]:
    text = specification(FILE).read_text()
    found = yaml.load(text, Loader=yaml.CSafeLoader)["definitions"]
    whole = {name: translated(one) for name, one in found.items()}
    return {"definitions": whole, "parts": {name: opened(one) for name, one in whole.items()}}


def translated(node: Any) -> Any:
    """Say in JSON Schema what a piece of Swagger says."""
    if isinstance(node, list):
        return [translated(one) for one in node]
    if not isinstance(node, dict):
        return node
    said = {name: translated(one) for name, one in node.items() if name != "allOf"}
    if "allOf" in node:
        said["allOf"] = [opened(translated(one)) for one in node["allOf"]]
        said["unevaluatedProperties"] = False
    elif isinstance(said.get("properties"), dict):
        said.setdefault("unevaluatedProperties", False)
    return {"anyOf": [{"type": "null"}, said]} if said.pop("x-nullable", False) is True else said


def opened(part: Any) -> Any:
    """Let a part of a whole be silent about the other parts' fields."""
    said = {name: one for name, one in part.items() if name != "unevaluatedProperties"}
    if "$ref" in said:
        said["$ref"] = said["$ref"].replace("#/definitions/", "#/parts/")
    return said
