"""`onggi exec`."""

from __future__ import annotations

from onggi.cli import attached, pairs
from onggi.cli.options import Command, Section, Switch, Text, Texts
from onggi.engine.options import ExecOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER COMMAND [ARG...]",
    least=2,
    most=None,
    interspersed=False,
    docker="exec",
    description="Runs another program in the namespaces and control groups of a container that "
    "runs, with its capabilities and its filter. The program ends with the container.\n\n"
    "The exit code is the program's: 126 when it cannot be executed, 127 when it is not there.",
    sections=(
        Section(
            "Options",
            Switch("detach", "d", "Run in the background"),
            Switch("interactive", "i", "Pass our input on to the program"),
            Switch("tty", "t", "Give the program a terminal"),
            Texts(
                "env", "e", "NAME[=VALUE]", "Set an environment variable; a NAME alone is copied"
            ),
            Texts("env-file", "", "FILE", "Set environment variables from a file, one a line"),
            Text("user", "u", "USER[:GROUP]", "Be this user, by name or number"),
            Text("workdir", "w", "DIR", "Start in this directory of the container"),
            Switch("privileged", "", "Give the program all capabilities"),
        ),
    ),
    examples=(
        ("onggi exec -it web sh", "look around in a running container"),
        ("echo hello | onggi exec -i web tee /tmp/greeting", "pass input through"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Run a program in a container and return its exit code."""
    name, *command = given.arguments
    options = ExecOptions(
        command=command,
        env=pairs.environment(given),
        workdir=given.text("workdir") or "",
        user=given.text("user") or "",
        tty=given.on("tty"),
        interactive=given.on("interactive"),
        detach=given.on("detach"),
        privileged=given.on("privileged"),
    )
    if options.detach:
        invocation.engine.containers.get(name).exec(options)
        return 0
    streams = attached.streams(interactive=options.interactive, tty=options.tty)
    session = invocation.engine.containers.get(name).exec(options, streams)
    return attached.follow(session, interactive=options.interactive, tty=options.tty)
