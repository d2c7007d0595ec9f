"""Configurations that were changed at random, and the kernel: one clear error, and nothing left."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from support.mutations import document, mutated
from support.oci_runtimes import OciRuntime
from support.requirements import requires

pytestmark = requires("root", "busybox")

ROUNDS = 40


@pytest.mark.parametrize("seed", range(3))
def test_created_or_refused_in_one_line(ours: OciRuntime, seed: int) -> None:
    chance = random.Random(seed)
    name = ours.identifier()
    bundle = ours.bundle(name, "true")
    for _ in range(ROUNDS):
        config = _changed(document(bundle / "rootfs"), chance, name)
        (bundle / "config.json").write_text(json.dumps(config))
        done = ours.attempt("create", "--bundle", bundle, name)
        if done.returncode == 0:
            ours("delete", "--force", name)
        else:
            assert done.returncode == 1, done.stderr
            assert done.stderr.count("level=error") == 1, done.stderr
            assert len(done.stderr.splitlines()) <= 1 + done.stderr.count("level=warning")
        assert not ours.remains(name)


def _changed(config: dict[str, Any], chance: random.Random, name: str) -> dict[str, Any]:
    """Change a configuration, but not where its cgroups lie: this is the machine's own."""
    config = mutated(config, chance)
    if isinstance(linux := config.get("linux"), dict):
        linux["cgroupsPath"] = f"/onggi/{name}"
    return config


def test_a_bundle_of_links(ours: OciRuntime, tmp_path: Path) -> None:
    """Where the root's name leads is the root; what lies in it is never followed to the host."""
    name = ours.identifier()
    bundle = ours.bundle(name, "cat", "/etc/hostname")
    rootfs = bundle / "rootfs"
    rootfs.rename(bundle / "elsewhere")
    rootfs.symlink_to("elsewhere")
    (tmp_path / "secret").write_text("of the host")
    (bundle / "elsewhere/etc/hostname").symlink_to(tmp_path / "secret")
    done = ours.attempt("run", "--bundle", bundle, name)
    assert "of the host" not in done.stdout
    assert done.returncode == 1
