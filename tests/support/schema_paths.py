"""Every member that the published schema of runtime configurations has, by its path."""

import json
from collections.abc import Iterator
from typing import Any

from support.specifications import find_specification

_FILES = ("config-schema.json", "config-linux.json", "defs.json", "defs-linux.json")
_JOINS = ("allOf", "anyOf", "oneOf")
Node = dict[str, Any]


def leaves() -> list[str]:
    """List the paths of all members that hold no others; [] is any of a list, * any name."""
    documents: dict[str, Node] = {}
    for name in _FILES:
        path = find_specification(f"oci-runtime/{name}")
        if path is None:
            return []
        documents[name] = json.loads(path.read_text())
    return sorted(set(_walk(documents, documents[_FILES[0]], _FILES[0], "")))


def _walk(documents: dict[str, Node], node: Node, file: str, path: str) -> Iterator[str]:
    if "$ref" in node:
        target, file = _target(documents, node["$ref"], file)
        yield from _walk(documents, target, file, path)
        return
    below = list(_below(node, path))
    for inner, where in below:
        yield from _walk(documents, inner, file, where)
    if not below:
        yield path


def _below(node: Node, path: str) -> Iterator[tuple[Node, str]]:
    """Yield what a node is made of, with its path."""
    for join in _JOINS:
        yield from ((part, path) for part in node.get(join, ()) if part.keys() != {"required"})
    for name, part in node.get("properties", {}).items():
        yield part, f"{path}.{name}" if path else name
    if "items" in node:
        yield node["items"], f"{path}[]"
    if not node.get("properties") and isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"], f"{path}.*"
    for part in node.get("patternProperties", {}).values():
        yield part, f"{path}.*"


def _target(documents: dict[str, Node], reference: str, file: str) -> tuple[Node, str]:
    """Follow a reference; what is of another platform is an empty node."""
    name, _, pointer = reference.partition("#")
    file = name or file
    node = documents.get(file, {})
    for part in filter(None, pointer.split("/")):
        node = node.get(part, {})
    return node, file
