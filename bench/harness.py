"""Time contenders side by side: interleaved, medians, and the ratio that was promised.

Every contender takes its turn in every round, so that whatever else the machine does in the
meantime falls on all of them alike. The first rounds fill caches and are thrown away.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
COMMAND = CHECKOUT / ".venv" / "bin" / "onggi"
sys.path.insert(0, str(CHECKOUT / "src"))  # the scripts beside this one import onggi after it

ROUNDS = int(os.environ.get("ROUNDS", "20"))
WARM_UP = 3

Contender = Callable[[], object]
Place = Callable[[], contextlib.AbstractContextManager[None]]


class Samples:
    """How long each round of one contender took, in milliseconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.milliseconds: list[float] = []

    @property
    def median(self) -> float:
        """The middle one: half of the rounds were quicker."""
        return statistics.median(self.milliseconds)

    def row(self) -> str:
        """Format the samples as a line of the report's table."""
        figures = (min(self.milliseconds), self.median, max(self.milliseconds))
        return f"  {self.name:<24}" + "".join(f"{figure:10.1f}" for figure in figures)


class Promise:
    """What the project says of a figure: a bound on it, or on its ratio to a peer's."""

    def __init__(self, most: float, *, of: str = "") -> None:
        self.most = most
        self.peer = of

    def judge(self, ours: float, peers: dict[str, float], unit: str) -> str:
        """Say in a line what was promised and what came of it."""
        if not self.peer:
            verdict = "kept" if ours <= self.most else "MISSED"
            return f"  at most {self.most:g} {unit}: {verdict} ({ours:.1f})"
        if self.peer not in peers:
            return f"  at most {self.most:g} of {self.peer}: not measured, it is not installed"
        ratio = ours / peers[self.peer]
        verdict = "kept" if ratio <= self.most else "MISSED"
        return f"  at most {self.most:g} of {self.peer}: {verdict} ({ratio:.2f})"


def compare(contenders: dict[str, Contender], *, rounds: int = ROUNDS) -> list[Samples]:
    """Run every contender so many times, taking turns; the first is ours."""
    results = [Samples(name) for name in contenders]
    for turn in range(-WARM_UP, rounds):
        for samples, contender in zip(results, contenders.values(), strict=True):
            started = time.perf_counter()
            contender()
            took = (time.perf_counter() - started) * 1000
            if turn >= 0:
                samples.milliseconds.append(took)
    return results


def report(title: str, results: list[Samples], promises: list[Promise]) -> None:
    """Print the table of one comparison, and what became of what was promised."""
    rounds = len(results[0].milliseconds)
    print(f"{title}\n  {f'ms, {rounds} rounds':<24}{'min':>10}{'median':>10}{'max':>10}")
    for samples in results:
        print(samples.row())
    peers = {samples.name: samples.median for samples in results[1:]}
    for promise in promises:
        print(promise.judge(results[0].median, peers, "ms"))
    print(flush=True)


def command(words: list[str], *, inside: Place = contextlib.nullcontext) -> Contender:
    """Make a contender of a command that must succeed, started where `inside` leads."""

    def run() -> None:
        with inside():
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=120,
                check=False,
            )
        if done.returncode:
            sys.exit(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.decode().strip()}")

    return run
