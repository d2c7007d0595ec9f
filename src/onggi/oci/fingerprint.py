"""SHA-256 of small things, without the price of loading OpenSSL.

Importing `hashlib` loads OpenSSL, which takes longer than hashing a manifest with the interpreter's
own code. Big streams are worth `hashlib`: it uses the processor's SHA instructions.
"""

from __future__ import annotations

SMALL_BYTES = 1 << 20  # beyond this, loading OpenSSL pays


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    # The standard library's own `random` finds its hash in these modules too: `_sha2` since
    # Python 3.12, `_sha256` before.
    try:
        module = __import__("_sha2")
    except ImportError:
        module = __import__("_sha256")
    digest: str = module.sha256(data).hexdigest()
    return digest
