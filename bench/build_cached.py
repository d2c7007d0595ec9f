"""`onggi build` of the example with every step cached, in the store `make quickstart` fills."""

import subprocess
import sys

import harness

STORE = harness.CHECKOUT / ".quickstart"
EXAMPLE = harness.CHECKOUT / "examples" / "guestbook"
LINE = [str(harness.COMMAND), "--root", str(STORE), "build", "--network", "host"]


def main() -> None:
    """Measure and print."""
    if not STORE.exists():
        sys.exit("build_cached: the example is not built yet: make quickstart")
    _require_cached()
    build = harness.command([*LINE, "--tag", "guestbook", str(EXAMPLE)])
    results = harness.compare({"onggi build": build})
    harness.report("build examples/guestbook, all cached", results, [harness.Promise(150)])


def _require_cached() -> None:
    """Build once, so that a change of the example since then is not measured."""
    done = subprocess.run(
        [*LINE, "--progress", "plain", str(EXAMPLE)], capture_output=True, text=True, check=False
    )
    if done.returncode or "CACHED" not in done.stderr:
        sys.exit(f"build_cached: the example does not build from the cache:\n{done.stderr}")


if __name__ == "__main__":
    main()
