"""Every command: where it lives, what it does, and how it may be spelled.

Looking here is all that `onggi --help` needs; only the command that was asked for is imported.
A command of Docker's may have several spellings (`ps`, `container ls`); they are one row.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CONTAINERS = "Containers"
IMAGES = "Images"
ENGINE = "The engine"
TOP_LEVEL = (CONTAINERS, IMAGES, ENGINE)

# The first words that are no command by themselves.
MANAGEMENT = {
    "container": "Manage containers",
    "image": "Manage images",
    "builder": "Manage builds",
    "buildx": "The same, as Docker's plugin spells it",
    "volume": "Manage volumes",
    "system": "Manage the engine itself",
}


class Row:
    """One command.

    `group` is the heading under which `onggi --help` lists it, empty when it has only management
    spellings. `preset` are words put before those that were typed.
    """

    __slots__ = ("group", "module", "preset", "spellings", "summary")

    def __init__(
        self, group: str, module: str, summary: str, *spellings: str, preset: tuple[str, ...] = ()
    ) -> None:
        self.group = group
        self.module = module
        self.summary = summary
        self.spellings = spellings
        self.preset = preset


ROWS = (
    Row(CONTAINERS, "run", "Create and run a new container from an image", "run", "container run"),
    Row(
        CONTAINERS,
        "create",
        "Create a container, without starting it",
        "create",
        "container create",
    ),
    Row(CONTAINERS, "start", "Start one or more containers", "start", "container start"),
    Row(CONTAINERS, "attach", "Attach to a running container", "attach", "container attach"),
    Row(CONTAINERS, "exec", "Execute a command in a running container", "exec", "container exec"),
    Row(
        CONTAINERS,
        "ps",
        "List containers",
        "ps",
        "container ls",
        "container list",
        "container ps",
    ),
    Row(CONTAINERS, "logs", "Fetch the logs of a container", "logs", "container logs"),
    Row(CONTAINERS, "top", "Show the processes of a container", "top", "container top"),
    Row(CONTAINERS, "stats", "Show what containers use", "stats", "container stats"),
    Row(CONTAINERS, "inspect", "Print all that is known of an object", "inspect"),
    Row(
        CONTAINERS,
        "explain",
        "Print a container as the shell script that makes it",
        "explain",
        "container explain",
    ),
    Row(
        CONTAINERS,
        "security",
        "Show what a container could do, and what would close it",
        "security",
        "container security",
        "image security",
    ),
    Row(CONTAINERS, "diff", "List what a container changed on disk", "diff", "container diff"),
    Row(CONTAINERS, "stop", "Stop one or more running containers", "stop", "container stop"),
    Row(CONTAINERS, "restart", "Restart one or more containers", "restart", "container restart"),
    Row(CONTAINERS, "pause", "Hold all processes of containers", "pause", "container pause"),
    Row(CONTAINERS, "unpause", "Let paused containers go on", "unpause", "container unpause"),
    Row(CONTAINERS, "kill", "Signal one or more running containers", "kill", "container kill"),
    Row(CONTAINERS, "wait", "Wait for containers, print exit codes", "wait", "container wait"),
    Row(CONTAINERS, "update", "Change the limits of containers", "update", "container update"),
    Row(CONTAINERS, "rename", "Rename a container", "rename", "container rename"),
    Row(
        CONTAINERS,
        "cp",
        "Copy files into or out of a container",
        "cp",
        "container cp",
    ),
    Row(
        CONTAINERS,
        "rm",
        "Remove one or more containers",
        "rm",
        "container rm",
        "container remove",
    ),
    Row(
        CONTAINERS,
        "commit",
        "Make an image from a container's changes",
        "commit",
        "container commit",
    ),
    Row(
        CONTAINERS,
        "export",
        "Write a container's files as a tar archive",
        "export",
        "container export",
    ),
    Row(
        "",
        "inspect",
        "Print all that is known of containers",
        "container inspect",
        preset=("--type=container",),
    ),
    Row(
        IMAGES,
        "bootstrap",
        "Make a base image from distribution packages",
        "bootstrap",
        "image bootstrap",
    ),
    Row(
        IMAGES,
        "build",
        "Build an image from a Dockerfile",
        "build",
        "image build",
        "builder build",
        "buildx build",
    ),
    Row(IMAGES, "images", "List images", "images", "image ls", "image list"),
    Row(IMAGES, "history", "Show how an image came about", "history", "image history"),
    Row(IMAGES, "tag", "Give an image another name", "tag", "image tag"),
    Row(IMAGES, "rmi", "Remove one or more images", "rmi", "image rm", "image remove"),
    Row(IMAGES, "save", "Write images to a tar archive", "save", "image save"),
    Row(IMAGES, "load", "Read images from a tar archive", "load", "image load"),
    Row(
        IMAGES,
        "import_",
        "Make an image from a file system's tar archive",
        "import",
        "image import",
    ),
    Row(
        "",
        "inspect",
        "Print all that is known of images",
        "image inspect",
        preset=("--type=image",),
    ),
    Row("", "container_prune", "Remove containers that do not run", "container prune"),
    Row("", "image_prune", "Remove unused images", "image prune"),
    Row("", "builder_prune", "Remove what builds keep", "builder prune", "buildx prune"),
    Row("", "volume_create", "Create a volume", "volume create"),
    Row("", "volume_ls", "List volumes", "volume ls", "volume list"),
    Row(
        "",
        "inspect",
        "Print all that is known of volumes",
        "volume inspect",
        preset=("--type=volume",),
    ),
    Row("", "volume_prune", "Remove unused volumes", "volume prune"),
    Row("", "volume_rm", "Remove one or more volumes", "volume rm", "volume remove"),
    Row(ENGINE, "info", "Show what this host offers and what is in use", "info", "system info"),
    Row(ENGINE, "unshare", "Run a program in an ordinary user's namespace", "unshare"),
    Row(ENGINE, "version", "Show the version", "version"),
    Row("", "system_df", "Show what takes how much of the disk", "system df"),
    Row("", "system_prune", "Remove what nobody uses", "system prune"),
    Row("", "system_reset", "Remove everything that the engine keeps", "system reset"),
)

COMMANDS = {spelling: row for row in ROWS for spelling in row.spellings}


def find(words: Sequence[str]) -> str | None:
    """Return the command that `words` begin with, spelled as in `COMMANDS`, or None."""
    both = " ".join(words[:2])
    if both in COMMANDS:
        return both
    return words[0] if words and words[0] in COMMANDS else None


def listed(group: str) -> list[tuple[str, str]]:
    """Return (name, summary) of every command under a heading of `onggi --help`."""
    return [(row.spellings[0], row.summary) for row in ROWS if row.group == group]


def managed(first: str) -> list[tuple[str, str]]:
    """Return (second word, summary) of every command below a management word."""
    found = []
    for row in ROWS:
        seconds = [s.partition(" ")[2] for s in row.spellings if s.startswith(first + " ")]
        found += [(second, row.summary) for second in seconds[:1]]
    return found
