"""What can be asked to be done once a container has ended: a fixed list.

It is done by what stands above this package, so the list says in words where each is found. What
is asked for is one of its names: no name of a module comes from a file or a message.
"""

from __future__ import annotations

import sys

from onggi.runtime.order import REMOVE

_PLACES = {REMOVE: ("onggi.engine.afterwards", "remove")}


def load() -> None:
    """Import what may be asked for, before it is: by who has time, or forks others."""
    for module, _ in _PLACES.values():
        __import__(module)


def carry_out(name: str, *arguments: str) -> None:
    """Do what the list says under `name`.

    Raises: ValueError: it is not on the list; what is done may raise whatever it raises.
    """
    if name not in _PLACES:
        raise ValueError(f"nothing known to be done after a container is called {name!r}")
    module, function = _PLACES[name]
    __import__(module)
    getattr(sys.modules[module], function)(*arguments)
