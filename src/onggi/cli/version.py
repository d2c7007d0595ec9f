"""`onggi version`."""

from __future__ import annotations

from onggi.cli.options import Command, Given, Section, Text
from onggi.cli.output.template import Template, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.output.listing import Record

COMMAND = Command(
    description="Shows the version of onggi, of the Python it runs on and of the kernel.",
    sections=(Section("Options", Text("format", "f", "FORMAT", 'Print as "json", or a template')),),
    examples=(("onggi version -f '{{.Server.Version}}'", "the number alone"),),
)

# What is shown, in this order: the key, and what people call it.
LINES = (
    ("Version", "Version"),
    ("ApiVersion", "API version"),
    ("Implementation", "Python"),
    ("KernelVersion", "Kernel"),
    ("Os", "OS"),
    ("Arch", "Architecture"),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print the version."""
    facts = invocation.engine.system.version()
    style = given.text("format")
    if style == "json":
        print(to_json(_both(facts)))
    elif style:
        print(Template(style).render({**facts, **_both(facts)}))
    else:
        print("Onggi Engine")
        for key, name in LINES:
            if key in facts:
                print(f" {name + ':':<15}{facts[key]}")
    return 0


def _both(facts: Record) -> dict[str, object]:
    """Return the versions as Docker's client tells them; here client and server are one program."""
    client = {name: facts.get(name, "") for name in ("Version", "ApiVersion", "Os", "Arch")}
    return {"Client": client, "Server": dict(facts)}
