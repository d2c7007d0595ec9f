"""What runs in an emulated machine gets the same runtimes as the tests of conformance."""

from support.runtime_fixtures import ours, runtime

__all__ = ["ours", "runtime"]
