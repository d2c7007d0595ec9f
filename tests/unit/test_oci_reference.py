"""The names are those of distribution/reference's own tests, and of our differences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.oci.reference import InvalidReference, Reference, is_tag, parse_tag

HEX = "dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c"
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/fooo/bar", "docker.io/fooo/bar:latest", "fooo/bar:latest"),
        ("fooo/bar:t", "docker.io/fooo/bar:t", "fooo/bar:t"),
        ("library/foo/bar", "docker.io/library/foo/bar:latest", "library/foo/bar:latest"),
        ("store/foo/bar", "docker.io/store/foo/bar:latest", "store/foo/bar:latest"),
        ("localhost/foo", "localhost/foo:latest", "localhost/foo:latest"),
        ("localhost:5000/foo", "localhost:5000/foo:latest", "localhost:5000/foo:latest"),
        ("127.0.0.1:8000/private/moonbase:x", "127.0.0.1:8000/private/moonbase:x", None),
        ("Foo/bar", "Foo/bar:latest", "Foo/bar:latest"),
        ("FOO/bar", "FOO/bar:latest", "FOO/bar:latest"),
        ("test_com/foo", "docker.io/test_com/foo:latest", "test_com/foo:latest"),
        ("xn--n3h.com:18080/foo", "xn--n3h.com:18080/foo:latest", None),
        ("[fc00::1]:5000/docker", "[fc00::1]:5000/docker:latest", None),
        ("[fc00::1]/docker", "[fc00::1]/docker:latest", None),
        ("192.168.0.1:80", "docker.io/library/192.168.0.1:80", "192.168.0.1:80"),
        (f"redis@{DIGEST}", f"docker.io/library/redis@{DIGEST}", f"redis@{DIGEST}"),
        (f"redis:7@{DIGEST}", f"docker.io/library/redis:7@{DIGEST}", f"redis:7@{DIGEST}"),
        (f"docker.io/{HEX}", f"docker.io/library/{HEX}:latest", f"{HEX}:latest"),
        (HEX[:63], f"docker.io/library/{HEX[:63]}:latest", f"{HEX[:63]}:latest"),
        ("docker---rules/docker", "docker.io/docker---rules/docker:latest", None),
        ("dock__er/docker", "docker.io/dock__er/docker:latest", None),
        ("d/docker", "docker.io/d/docker:latest", "d/docker:latest"),
        ("a" * 255, None, None),
    ],
)
def test_familiar_and_canonical(text: str, canonical: str | None, familiar: str | None) -> None:
    if len(text) == 255:
        text = f"example.com/{text}"  # the domain and "library/" don't count as the user's
        canonical = f"{text}:latest"
    reference = Reference.parse(text)
    assert str(reference) == canonical
    assert reference.familiar == (familiar or canonical).removeprefix("docker.io/")
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "/",
        "@",
        HEX,
        "https://github.com/docker/docker",
        "docker/Docker",
        "Busybox",
        "-docker",
        "-docker/docker",
        "docker-/docker",
        "-docker.io/docker/docker",
        "docker///docker",
        "docker.io/docker/Docker",
        "docker.io/docker///docker",
        "[fc00::1]",
        "[fc00::1]:5000",
        "[]:5000/debian",
        "fc00::1:5000/debian",
        "[fe80::1%eth0]:5000/debian",
        "[2001:db8:3:4::192.0.2.33]:5000/debian",
        "____/____",
        "_docker/_docker",
        "dock..er/docker",
        "dock_.er/docker",
        "dock-.er/docker",
        "dock___er/docker",
        "docker/",
        "a" * 248 + "/b" * 4 + ":tag",
        "this_is_too_long/" * 16 + "docker",
        "busybox:",
        "busybox:-foo",
        "busybox:.foo",
        "busybox:" + "t" * 129,
        "busybox:a:b",
        "busybox:t\u00e9",
        "busybox\n",
        "busybox:latest\n",
        "bus\0ybox",
        "busyb\u00f6x",
        "\u0661",
        "busybox@sha256:beef",
        f"busybox@md5:{HEX}",
        f"busybox@{DIGEST}@{DIGEST}",
        f"@{DIGEST}",
        "example.com:/foo",
        "example.com:80a/foo",
        "example..com/foo",
        "a_b.c/d",
        "../../etc/passwd",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(InvalidReference, match="invalid reference format"):
        Reference.parse(text)


def test_says_what_would_be_right() -> None:
    with pytest.raises(InvalidReference, match=r"\(library/Busybox\) must be lowercase"):
        Reference.parse("Busybox")
    with pytest.raises(InvalidReference, match="an image ID, not a name"):
        Reference.parse(HEX)
    with pytest.raises(InvalidReference, match="not be more than 255"):
        Reference.parse("example.com/" + "a" * 256)


def test_names_for_images() -> None:
    assert parse_tag("me/app:1").familiar == "me/app:1"
    with pytest.raises(InvalidReference, match="cannot be named by a digest"):
        parse_tag(f"busybox@{DIGEST}")
    with pytest.raises(InvalidReference, match="begins an image ID"):
        parse_tag("sha256:abc")
    assert parse_tag("me/sha256:abc").path == "me/sha256", "only alone it looks like an ID"


def test_a_bare_name_on_request() -> None:
    reference = Reference.parse("busybox", default_tag="")
    assert (str(reference), reference.familiar) == ("docker.io/library/busybox", "busybox")


def test_tags() -> None:
    assert is_tag("_1.0-rc")
    assert is_tag("t" * 128)
    assert not is_tag("")
    assert not is_tag("a/b")


_TEXT = st.text(alphabet="abAB01._-/:@[]s", max_size=40)


@given(_TEXT)
def test_what_parses_prints_as_it_parses(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
