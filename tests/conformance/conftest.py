"""Each test of this folder gets ours and, where it is installed, what it is compared with."""

from support.runtime_fixtures import ours, runtime

__all__ = ["ours", "runtime"]
