"""A program that uses the engine with a table of descriptors that is almost full.

    python crowded.py SOURCE ROOT

With every number of free descriptors, from none until starting a container succeeds, it runs one.
It prints a line for each: how many were free, and what came of it.
"""

import os
import resource
import sys

LIMIT = 128
MOST_FREE = 40


def crowd(free: int) -> list[int]:
    """Take all descriptors but `free`."""
    taken = []
    while True:
        try:
            taken.append(os.dup(0))
        except OSError:
            break
    for _ in range(free):
        os.close(taken.pop())
    return taken


def main() -> None:
    """Try with more and more free descriptors, until it works."""
    source, root = sys.argv[1:]
    sys.path.insert(0, source)
    from onggi.engine.engine import Engine
    from onggi.engine.options import ContainerOptions
    from onggi.errors import OnggiError

    options = ContainerOptions(image="busybox", command=["true"], volumes=["/unnamed"], remove=True)
    with Engine(root) as engine:
        engine.containers.run(options).container.wait()  # all is imported, the launcher runs
        resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        for free in range(MOST_FREE):
            taken = crowd(free)
            try:
                outcome = str(engine.containers.run(options).container.wait().code)
            except (OSError, OnggiError) as error:
                outcome = type(error).__name__
            for fd in taken:
                os.close(fd)
            left = engine.containers.list(all=True)
            print(free, outcome, *(container.id for container in left), flush=True)
            if outcome == "0":
                return


main()
