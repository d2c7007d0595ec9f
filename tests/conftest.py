"""What every test gets: its requirements checked, its time bounded, its leftovers found."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

from support import record, requirements
from support.box import Box
from support.command import Onggi
from support.leaks import SESSION, Machine, shared_cgroups, wait_until_clean
from support.patience import SLOWER
from support.places import store_parent
from support.repository import COMMAND

DEFAULT_LIMIT = 120.0
TOUCHES_THE_MACHINE = (
    "kernel",
    "integration",
    "conformance",
    "security",
    "fault",
    "differential",
    "vm",
)

os.environ[SESSION] = uuid.uuid4().hex


def pytest_configure(config: pytest.Config) -> None:
    """Keep a record of the run, if one is wanted; time no example, as the machine may be busy."""
    hypothesis.settings.register_profile("here", deadline=None)
    hypothesis.settings.load_profile("here")
    if directory := os.environ.get(record.DIRECTORY):
        config.pluginmanager.register(record.Recorder(Path(directory).absolute()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse unknown requirements before anything runs."""
    for item in items:
        for marker in item.iter_markers("requires"):
            for name in marker.args:
                _known(item, name)


def _known(item: pytest.Item, name: str) -> None:
    try:
        requirements.is_met(name)
    except LookupError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, a test whose requirements are not met."""
    requirements.check(item)


@pytest.fixture(autouse=True)
def _time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """End a test that hangs, with a traceback of where."""
    marker = request.node.get_closest_marker("time_limit")
    limit = (marker.args[0] if marker else DEFAULT_LIMIT) * SLOWER

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {limit} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Find what a test that touches the machine left on it."""
    if not _touches_the_machine(request.node):
        yield
        return
    before = Machine()
    yield
    left = wait_until_clean(before, seconds=5)
    if left:
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)


def _touches_the_machine(item: pytest.Item) -> bool:
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder in TOUCHES_THE_MACHINE


@pytest.fixture(scope="session", autouse=True)
def _machine_as_found() -> Iterator[None]:
    """Hold, at the very end, that the machine is as it was before the first test."""
    before, shared_before = Machine(), shared_cgroups()
    yield
    if os.environ.get("ONGGI_TEST_ALONE"):
        for path in shared_cgroups() - shared_before:
            os.rmdir(path)
    left = [line for line in wait_until_clean(before, seconds=5) if "descriptor:" not in line]
    assert not left, "the tests left behind:\n  " + "\n  ".join(left)


@pytest.fixture
def root_dir() -> Iterator[Path]:
    """Give a directory for a store, in memory where possible, and remove it afterwards."""
    path = Path(tempfile.mkdtemp(prefix="onggi-test-", dir=store_parent()))
    yield path
    if path.exists():  # `system reset` has removed it otherwise
        shutil.rmtree(path)


@pytest.fixture
def onggi(root_dir: Path) -> Iterator[Onggi]:
    """Give the installed command on a store of its own; all of it is reset afterwards."""
    if not COMMAND.exists():
        pytest.fail(f"{COMMAND} is missing: make setup", pytrace=False)
    command = Onggi(root_dir)
    yield command
    command("system", "reset", "--force")


@pytest.fixture(scope="session")
def _busybox_store() -> Iterator[Box]:
    """Give a store with a busybox image, for all the tests that only run something in it."""
    if not COMMAND.exists():
        pytest.fail(f"{COMMAND} is missing: make setup", pytrace=False)
    box = Box(Path(tempfile.mkdtemp(prefix="onggi-test-", dir=store_parent())))
    box("bootstrap", "busybox")
    yield box
    box("system", "reset", "--force")


@pytest.fixture
def box(_busybox_store: Box) -> Iterator[Box]:
    """Give the shared store with its image; containers and volumes are removed afterwards."""
    yield _busybox_store
    _busybox_store.empty()
