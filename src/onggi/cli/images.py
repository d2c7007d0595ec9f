"""`onggi images`."""

from __future__ import annotations

from collections.abc import Iterator

from onggi.cli import pairs
from onggi.cli.options import Command, Given, Section, Switch, Texts
from onggi.cli.output import human
from onggi.cli.output.columns import short_id
from onggi.cli.output.listing import FORMAT, Field, Listing, number_of, text_of, texts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.output.listing import Record

NONE = "<none>"

COMMAND = Command(
    arguments="[REPOSITORY[:TAG]]",
    most=1,
    description="Lists images, a line for every name. SIZE is what all layers come to unpacked; "
    "layers that images share lie on disk only once.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "List images without a name that others build on, too"),
            Switch("digests", "", "Print the digest of each manifest"),
            Texts(
                "filter", "f", "NAME=VALUE", "Only those with this reference, label, or dangling"
            ),
            FORMAT,
            Switch("no-trunc", "", "Print whole IDs"),
            Switch("quiet", "q", "Print IDs only"),
        ),
    ),
    examples=(
        ("onggi images -f dangling=true -q", "IDs of images that lost their names"),
        ("onggi images --format '{{.Repository}}:{{.Tag}} {{.Size}}'", "in your own words"),
    ),
)

SHOWN = ("Repository", "Tag", "ID", "CreatedSince", "Size")
WITH_DIGESTS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")


def execute(given: Given, invocation: Invocation) -> int:
    """Print the images."""
    conditions = pairs.filters(given.texts("filter"))
    if given.arguments:
        conditions.setdefault("reference", []).append(given.arguments[0])
    found = invocation.engine.images.list(all=given.on("all"), filters=conditions)
    found = sorted(found, key=lambda record: number_of(record, "Created"), reverse=True)
    whole = given.on("no-trunc")
    if given.on("quiet") and not given.text("format"):
        # An image with several names is listed once for each, as Docker does.
        lines = [_identity(record, whole) for image in found for record in _named(image)]
    else:
        shown = WITH_DIGESTS if given.on("digests") else SHOWN
        rows = [record for image in found for record in _named(image)]
        lines = _listing(whole).lines(rows, given.text("format"), shown)
    print("".join(f"{line}\n" for line in lines), end="")
    return 0


def _named(image: Record) -> Iterator[Record]:
    """Yield the image once for each of its names, split into repository and tag."""
    digests = dict(_split(name, "@") for name in texts_of(image, "RepoDigests"))
    names = texts_of(image, "RepoTags") or [f"{next(iter(digests), NONE)}:{NONE}"]
    for name in names:
        repository, tag = _split(name, ":")
        digest = digests.get(repository, NONE)
        yield {**image, "Repository": repository, "Tag": tag, "Digest": digest}


def _split(name: str, mark: str) -> tuple[str, str]:
    before, _, after = name.rpartition(mark)
    return before, after


def _listing(whole: bool) -> Listing:
    now = human.now()
    return Listing(
        (
            Field("Repository", "REPOSITORY", text_of("Repository")),
            Field("Tag", "TAG", text_of("Tag")),
            Field("Digest", "DIGEST", text_of("Digest")),
            Field("ID", "IMAGE ID", lambda one: _identity(one, whole)),
            Field("CreatedSince", "CREATED", lambda one: human.ago(number_of(one, "Created"), now)),
            Field(
                "CreatedAt", "CREATED AT", lambda one: human.local_time(number_of(one, "Created"))
            ),
            Field("Size", "SIZE", lambda one: human.size(number_of(one, "Size"))),
            Field(
                "SharedSize", "SHARED SIZE", lambda one: human.size(number_of(one, "SharedSize"))
            ),
            Field("UniqueSize", "UNIQUE SIZE", lambda one: human.size(_unique(one))),
            Field("Containers", "CONTAINERS", lambda one: str(number_of(one, "Containers"))),
        ),
        SHOWN,
    )


def _unique(record: Record) -> float:
    """How many bytes of it no other image has."""
    return number_of(record, "Size") - number_of(record, "SharedSize")


def _identity(record: Record, whole: bool) -> str:
    identity = str(record["Id"])
    return identity if whole else short_id(identity)
