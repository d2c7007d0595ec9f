"""The version of this package: a constant, since looking it up in metadata would cost 60 ms."""

VERSION = "0.1.0"
