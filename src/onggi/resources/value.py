"""What the records of this package share: equal when every field is equal."""

from __future__ import annotations


class Value:
    """A record that is compared, hashed and shown by its fields, and treated as immutable.

    A frozen dataclass would say the same, and cost a millisecond of start-up for each class.
    """

    __slots__: tuple[str, ...] = ()

    def fields(self) -> tuple[object, ...]:
        """Return the fields' values, in the order in which the class declares them."""
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.fields() == other.fields()

    def __hash__(self) -> int:
        return hash((type(self), self.fields()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({shown})"
