"""Onggi: a complete container engine.

`onggi.Engine` is the product; everything else in the package serves it. Names are resolved at
first use (PEP 562), so importing `onggi` costs nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.engine import Engine
    from onggi.version import VERSION as __version__  # noqa: N811  # what everybody calls it

__all__ = ["Engine", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Engine":
        from onggi.engine.engine import Engine

        return Engine
    if name == "__version__":
        from onggi.version import VERSION

        return VERSION
    raise AttributeError(f"module 'onggi' has no attribute {name!r}")
