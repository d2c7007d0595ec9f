import hashlib

import pytest

from onggi.oci.digest import Digest, InvalidDigest, chain_ids
from support.threats import withstands

HEX = "0123456789abcdef" * 4


def test_a_digest_is_its_text() -> None:
    digest = Digest(f"sha256:{HEX}")
    assert digest == f"sha256:{HEX}"
    assert (digest.algorithm, digest.hex, digest.short) == ("sha256", HEX, "0123456789ab")


def test_of_bytes() -> None:
    assert Digest.of(b"onggi").hex == hashlib.sha256(b"onggi").hexdigest()
    assert Digest.of(b"onggi", "sha512") == "sha512:" + hashlib.sha512(b"onggi").hexdigest()


@withstands("digests", "a digest that is a path")
@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        "sha256:",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"sha512:{HEX}",
        f"md5:{HEX}",
        f"sha256:{HEX[:-1]}/",
        f"sha256:../../{HEX[6:]}",
        f"sha256:{HEX[:-1]}\n",
        f"sha256:{HEX[:-1]}\u0661",
        f"sha256:{HEX}\n",
    ],
)
def test_refuses_what_is_not_a_digest(text: str) -> None:
    with pytest.raises(InvalidDigest, match="invalid digest"):
        Digest(text)


def test_a_complaint_is_short() -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_chain_ids() -> None:
    one, two, three = (Digest.of(text) for text in (b"1", b"2", b"3"))
    both = Digest.of(f"{one} {two}".encode())
    assert chain_ids([one, two, three]) == [one, both, Digest.of(f"{both} {three}".encode())]
    assert chain_ids([]) == []
