"""`onggi system df`."""

from __future__ import annotations

from onggi.cli.options import Command, Section, Switch
from onggi.cli.output import human
from onggi.cli.output.columns import aligned, short_id
from onggi.cli.output.listing import FORMAT, Field, Listing, number_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.cli.output.listing import Record

    Json = dict[str, Any]

COMMAND = Command(
    description="Shows what takes how much of the disk, and what of it would be free if all that "
    "nobody uses were removed. A layer that several images have is counted once, unpacked; the "
    "compressed archive of it that the store keeps comes on top.",
    sections=(
        Section(
            "Options",
            Switch("verbose", "v", "Show each image, container, volume and cache"),
            FORMAT,
        ),
    ),
    examples=(("onggi system df -v", "what is large?"),),
)

SHOWN = ("Type", "TotalCount", "Active", "Size", "Reclaimable")
LISTING = Listing(
    (
        Field("Type", "TYPE", text_of("Type")),
        Field("TotalCount", "TOTAL", lambda one: f"{number_of(one, 'TotalCount'):.0f}"),
        Field("Active", "ACTIVE", lambda one: f"{number_of(one, 'Active'):.0f}"),
        Field("Size", "SIZE", lambda one: human.size(number_of(one, "Size"))),
        Field("Reclaimable", "RECLAIMABLE", lambda one: _reclaimable(one)),
    ),
    SHOWN,
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print what takes how much."""
    found = invocation.engine.system.df()
    if given.on("verbose") and not given.text("format"):
        lines = _details(found)
    else:
        lines = LISTING.lines(_kinds(found), given.text("format"))
    print("".join(f"{line}\n" for line in lines), end="")
    return 0


def _kinds(found: Json) -> list[Record]:
    running = {"running", "paused"}
    images, containers = found["Images"], found["Containers"]
    written = [one["SizeRw"] for one in containers]
    ended = [one["SizeRw"] for one in containers if one["State"] not in running]
    volumes = [one["UsageData"] for one in found["Volumes"]]
    spare = [one["Size"] for one in volumes if not one["RefCount"]]
    cached = [one["Size"] for one in found["BuildCache"]]
    used = [one for one in images if one["Containers"]]
    return [
        _kind("Images", images, len(used), found["LayersSize"], _unused(images)),
        _kind("Containers", containers, len(written) - len(ended), sum(written), sum(ended)),
        _kind(
            "Local Volumes",
            volumes,
            len(volumes) - len(spare),
            sum(one["Size"] for one in volumes),
            sum(spare),
        ),
        _kind("Build Cache", cached, 0, sum(cached), sum(cached)),
    ]


def _unused(images: Iterable[Json]) -> int:
    """Return the bytes that no container's image has, and that no image shares with another."""
    return sum(one["Size"] - one["SharedSize"] for one in images if not one["Containers"])


def _kind(name: str, objects: list[Any], active: int, size: int, reclaimable: int) -> Record:
    return {
        "Type": name,
        "TotalCount": len(objects),
        "Active": active,
        "Size": size,
        "Reclaimable": reclaimable,
    }


def _reclaimable(one: Record) -> str:
    size, spare = number_of(one, "Size"), number_of(one, "Reclaimable")
    share = f" ({100 * spare / size:.0f}%)" if size else ""
    return f"{human.size(spare)}{share}"


def _details(found: Json) -> list[str]:
    parts = (
        ("Images space usage:", _images(found["Images"])),
        ("Containers space usage:", _containers(found["Containers"])),
        ("Local Volumes space usage:", _volumes(found["Volumes"])),
        (f"Build cache usage: {_total(found['BuildCache'])}", _caches(found["BuildCache"])),
    )
    lines: list[str] = []
    for title, rows in parts:
        lines += ["", title, "", *aligned(rows)]
    return lines[1:]


def _total(caches: list[Json]) -> str:
    return human.size(sum(one["Size"] for one in caches))


def _images(images: list[Json]) -> list[list[str]]:
    rows = [["IMAGE", "IMAGE ID", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]]
    for one in images:
        sizes = (one["Size"], one["SharedSize"], one["Size"] - one["SharedSize"])
        name = ", ".join(one["RepoTags"]) or "<none>"
        rows.append([name, short_id(one["Id"]), *map(human.size, sizes), str(one["Containers"])])
    return rows


def _containers(containers: list[Json]) -> list[list[str]]:
    rows = [["CONTAINER ID", "IMAGE", "SIZE", "STATUS", "NAMES"]]
    for one in containers:
        names = ",".join(name.removeprefix("/") for name in one["Names"])
        size = human.size(one["SizeRw"])
        rows.append([short_id(one["Id"]), one["Image"], size, one["Status"], names])
    return rows


def _volumes(volumes: list[Json]) -> list[list[str]]:
    rows = [["VOLUME NAME", "LINKS", "SIZE"]]
    for one in volumes:
        usage = one["UsageData"]
        rows.append([one["Name"], str(usage["RefCount"]), human.size(usage["Size"])])
    return rows


def _caches(caches: list[Json]) -> list[list[str]]:
    rows = [["CACHE ID", "CACHE TYPE", "SIZE"]]
    return rows + [[short_id(one["ID"]), one["Type"], human.size(one["Size"])] for one in caches]
