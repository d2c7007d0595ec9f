"""`onggi history`."""

from __future__ import annotations

from onggi.cli.options import Command, Given, Section, Switch
from onggi.cli.output import human
from onggi.cli.output.columns import short_id, shortened
from onggi.cli.output.listing import FORMAT, Field, Listing, number_of, text_of, texts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.output.listing import Record

COMMAND = Command(
    arguments="IMAGE",
    least=1,
    most=1,
    description="Shows the instructions that an image came from, the last first, and what each "
    "added. An instruction of 0B changed only the configuration. <missing> is a layer that has no "
    "image of its own here.",
    sections=(
        Section(
            "Options",
            FORMAT,
            Switch("human", "H", "Print sizes and times for people", on=True),
            Switch("no-trunc", "", "Print whole instructions and IDs"),
            Switch("quiet", "q", "Print IDs only"),
        ),
    ),
    examples=(("onggi history --no-trunc guestbook", "every instruction in full"),),
)

SHOWN = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")


def execute(given: Given, invocation: Invocation) -> int:
    """Print the history."""
    records = invocation.engine.images.history(given.arguments[0])
    whole, plain = given.on("no-trunc"), not given.on("human")
    if given.on("quiet") and not given.text("format"):
        lines = [_identity(record, whole) for record in records]
    else:
        shown = tuple("CreatedAt" if plain and n == "CreatedSince" else n for n in SHOWN)
        lines = _listing(whole, plain).lines(records, given.text("format"), shown)
    print("".join(f"{line}\n" for line in lines), end="")
    return 0


def _listing(whole: bool, plain: bool) -> Listing:
    now = human.now()
    return Listing(
        (
            Field("ID", "IMAGE", lambda one: _identity(one, whole)),
            Field("CreatedSince", "CREATED", lambda one: human.ago(number_of(one, "Created"), now)),
            Field("CreatedAt", "CREATED AT", lambda one: human.iso_time(number_of(one, "Created"))),
            Field("CreatedBy", "CREATED BY", lambda one: _instruction(one, whole)),
            Field("Size", "SIZE", lambda one: _size(one, plain)),
            Field("Comment", "COMMENT", text_of("Comment")),
            Field("Tags", "TAGS", lambda one: ",".join(texts_of(one, "Tags"))),
        ),
        SHOWN,
    )


def _identity(record: Record, whole: bool) -> str:
    identity = str(record["Id"])
    return identity if whole or identity == "<missing>" else short_id(identity)


def _instruction(record: Record, whole: bool) -> str:
    text = str(record.get("CreatedBy") or "").replace("\t", " ")
    return text if whole else shortened(text, 45)


def _size(record: Record, plain: bool) -> str:
    size = number_of(record, "Size")
    return str(int(size)) if plain else human.size(size)
