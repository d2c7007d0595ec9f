"""`onggi stop`."""

from __future__ import annotations

from onggi.cli import stopping
from onggi.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Asks a container's program to end, with the image's stop signal or SIGTERM, and "
    "kills it when it has not ended in time. Several are stopped at once. Stopping a container "
    "that has ended is no error.",
    sections=(stopping.OPTIONS,),
    examples=(("onggi stop -t 30 web", "give it half a minute"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Stop containers, and print the name of each that stopped."""
    first, seconds = stopping.signal(given), stopping.seconds(given)
    waits: dict[str, Callable[[], None]] = {}

    def begin(name: str) -> None:
        container = invocation.engine.containers.get(name)
        waits[name] = _begun(lambda: container.stop(timeout=seconds, signal=first))

    def finish(name: str) -> None:
        waits[name]()
        print(name, flush=True)

    if len(given.arguments) == 1:  # which needs no thread
        return invocation.each_container(
            given.arguments, lambda container: container.stop(timeout=seconds, signal=first)
        )
    unknown = invocation.each(dict.fromkeys(given.arguments), begin)
    return invocation.each(waits, finish) or unknown


def _begun(act: Callable[[], object]) -> Callable[[], None]:
    """Do `act` meanwhile, as no container's time to end is to be spent on waiting for another.

    Returns: what waits until it is done, and raises what it raised.
    """
    from threading import Thread

    errors: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  raised again by whoever waits
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()

    def wait() -> None:
        thread.join()
        if errors:
            raise errors[0]

    return wait
