"""Names for containers whose makers chose none: an adjective and a thing made of clay."""

from __future__ import annotations

import os

# fmt: off
_ADJECTIVES = (
    "amber", "ample", "ashen", "azure", "balmy", "blithe", "bold", "brave", "brisk", "bright",
    "calm", "candid", "cheery", "civil", "clear", "clever", "coral", "cosy", "crisp", "dapper",
    "daring", "deft", "eager", "early", "earnest", "easy", "fair", "famed", "fine", "fleet",
    "fond", "frank", "fresh", "gentle", "glad", "golden", "good", "grand", "happy", "hardy",
    "hearty", "honest", "humble", "jolly", "jovial", "keen", "kind", "lively", "loyal", "lucid",
    "lucky", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "placid", "plucky",
    "polite", "proud", "quick", "quiet", "ready", "robust", "rosy", "serene", "sharp", "shiny",
    "silent", "sleek", "smart", "snug", "solid", "spry", "stable", "steady", "still", "stout",
    "subtle", "sunny", "sure", "swift", "tidy", "tranquil", "trim", "true", "trusty", "upbeat",
    "useful", "vivid", "warm", "wise", "witty", "worthy", "zesty",
)
_VESSELS = (
    "amphora", "basin", "beaker", "bowl", "brick", "carafe", "cauldron", "celadon", "chalice",
    "clay", "cooler", "crock", "cruet", "cup", "dish", "ewer", "faience", "flagon", "flask",
    "glaze", "goblet", "griddle", "hangari", "hearth", "jar", "jug", "kettle", "kiln", "krater",
    "ladle", "lamp", "lid", "moonjar", "mortar", "mug", "onggi", "paten", "pitcher", "plate",
    "platter", "porringer", "pot", "potter", "quern", "ramekin", "saucer", "sherd", "siru",
    "slip", "spout", "stein", "stoneware", "tagine", "tankard", "terrine", "tile", "tray",
    "tureen", "urn", "vase", "vat", "wheel",
)
# fmt: on


def random_name(attempt: int) -> str:
    """Return a name such as `calm_teapot`; from the second attempt on with a digit behind it."""
    first, second, third, fourth = os.urandom(4)
    adjective = _ADJECTIVES[(first << 8 | second) % len(_ADJECTIVES)]
    vessel = _VESSELS[(third << 8 | fourth) % len(_VESSELS)]
    return f"{adjective}_{vessel}" + (str(attempt) if attempt else "")
