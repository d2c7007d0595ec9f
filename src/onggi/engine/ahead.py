"""A head start for a command that will run a container; see runtime/ahead.py.

Apart from the rest of the engine, because it must be there before the rest is imported.
"""

from __future__ import annotations

from onggi.runtime.ahead import fork_ahead

__all__ = ["fork_ahead"]
