"""A systemd scope is not the container's before it was made: one of its name may be another's."""

from pathlib import Path

from onggi.runtime.command import bundle, launching, record
from onggi.runtime.command.journal import Journal
from onggi.runtime.command.runtime import Runtime
from onggi.runtime.steps.scope import StartScope
from support.oci_runtimes import OciRuntime
from support.requirements import requires

pytestmark = requires("root", "busybox")


def test_whoever_is_killed_before_it_was_made_leaves_no_record_of_it(tmp_path: Path) -> None:
    """By the record, `delete` has systemd end the scope."""
    name = "onggi-test-scope"
    config = bundle.read(str(OciRuntime("onggi", tmp_path).bundle(name, "true")), "", print)
    config["linux"]["cgroupsPath"] = f"/system.slice/{name}.scope"
    runtime = Runtime(root=str(tmp_path / "state"), journal=Journal())
    made = record.new(name, config, str(tmp_path))
    with record.make(runtime.root, made) as folder:
        plan = launching.settle(
            folder, made, config, runtime, unit=f"{name}.scope", placeholder=1234
        )
        assert isinstance(plan.host[0], StartScope)
        assert folder.read().unit == ""
