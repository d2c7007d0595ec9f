"""The same Dockerfiles built here and by buildah: equal files and equal configurations.

Only what both know can be compared: buildah of Debian 12 has no heredocs, keeps ranges of ports as
they are written, always takes a backslash for an escape inside words, and gives CMD no SHELL.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.image.archive_load import load_archive
from onggi.image.images import Image
from onggi.store.store import Store
from support.builds import Yard
from support.peers import Peer
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "buildah")

COPIES = r"""
FROM scratch
COPY . /all/
COPY * /glob/
COPY d /dir
COPY d/ /dir-slash/
COPY d/e/y /made/
COPY d/*/y /named
COPY [ab] /class/
COPY ["with blank", "/with blank/"]
COPY run.sh private /modes/
COPY link /followed
COPY dir-link /followed-dir/
COPY dir-link/x /through
COPY d a /mixed/
COPY a /over
COPY b /over
"""
OWNERS = r"""
FROM scratch
COPY --chown=1:2 --chmod=711 run.sh /both
COPY --chown=3 d /number
ARG MODE=600
COPY --chmod=$MODE a /variable
"""
PLACES = r"""
FROM scratch
WORKDIR a/b
COPY a .
COPY b ./c/
WORKDIR ../q
COPY a x
ENV DIR=/from/env
WORKDIR ${DIR}/deep
COPY b $DIR/
WORKDIR /last
"""
SETTINGS = r"""
FROM scratch
ENV A=1 B="x y" C='q $A' D=$A\ t E="\"q\""
ENV OLD this is  it
ENV F=${A}-${Z:-none}${A:+yes}${Z:+no}
LABEL l=$A m='$A' "n o"=p long="one \
two"
EXPOSE 80 90/udp $A
VOLUME /v $A /w
VOLUME ["/x y"]
USER u$A:g
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1m30s --timeout=5s --start-period=2s --retries=2 CMD a || b
ENTRYPOINT ["a", "$A"]
CMD echo $A
"""
RESETS = r"""
FROM scratch AS first
CMD ["kept"]
ENTRYPOINT exec top -b
HEALTHCHECK CMD x
ONBUILD COPY a /triggered
ONBUILD ENV triggered=yes
FROM first
ENTRYPOINT ["b"]
HEALTHCHECK NONE
ONBUILD COPY a b
"""
STAGES = r"""
ARG NAME=value
FROM scratch AS one
ARG NAME
ENV SEEN=$NAME
COPY a /one
FROM scratch AS two
COPY --from=one /one /two
COPY --from=0 / /zero/
FROM two
ARG NAME=own
ENV SEEN=$NAME
COPY --from=two /two /three
"""
ESCAPES = """# escape=`
FROM scratch
ENV A=one`
two B=three
# a comment
COPY a `
  # another
  b `
  /joined/
"""
CASES = {
    "copies": COPIES,
    "owners": OWNERS,
    "places": PLACES,
    "settings": SETTINGS,
    "resets": RESETS,
    "stages": STAGES,
    "escapes": ESCAPES,
}
COMPARED = ("Cmd", "Entrypoint", "ExposedPorts", "Healthcheck", "OnBuild", "StopSignal", "User")


@pytest.fixture
def yard(root_dir: Path) -> Iterator[Yard]:
    yard = Yard(root_dir)
    yard.write({"a": "A\n", "b": "B\n", "with blank": "W\n", "run.sh": "#!/bin/sh\n"})
    yard.write({"private": "P\n", "d/x": "X\n", "d/e/y": "Y\n", ".dot": "D\n"})
    (yard.context / "run.sh").chmod(0o755)
    (yard.context / "private").chmod(0o600)
    (yard.context / "d/e").chmod(0o750)
    (yard.context / "link").symlink_to("a")
    (yard.context / "dir-link").symlink_to("d")
    (yard.context / "d/broken").symlink_to("none")
    yield yard
    yard.close()


def built_by_buildah(yard: Yard, dockerfile: str, place: Path) -> Image:
    """Build with buildah, and load what it made into the yard's store."""
    file = place / "Dockerfile"
    file.write_text(dockerfile)
    buildah = Peer("buildah", place)
    buildah("bud", "--quiet", "--format", "docker", "-t", "built", "-f", file, yard.context)
    archive = place / "theirs.tar"
    buildah("push", "--quiet", "built", f"docker-archive:{archive}:built:1")
    with archive.open("rb") as stream:
        return load_archive(yard.store, stream)[0].image


def files(store: Store, image: Image) -> dict[str, tuple[object, ...]]:
    """Return what is at each path: kind and permissions, owner, contents."""
    found: dict[str, tuple[object, ...]] = {}
    for diff_id in image.diff_ids:  # nothing is ever deleted here, so the layers just add up
        top = store.layers.path(diff_id)
        for directory, names, plain in os.walk(top):
            for name in (*names, *plain):
                path = os.path.join(directory, name)
                status = os.lstat(path)
                data = Path(path).read_text() if stat.S_ISREG(status.st_mode) else ""
                data = os.readlink(path) if stat.S_ISLNK(status.st_mode) else data
                owner = (status.st_uid, status.st_gid)
                found[path[len(top) :]] = (stat.filemode(status.st_mode), owner, data)
    return found


def settings(image: Image) -> dict[str, object]:
    """Return those settings that a Dockerfile of these can make."""
    config = image.config.settings
    found: dict[str, object] = {name: config.get(name) or None for name in COMPARED}
    env = [str(entry) for entry in image.config.env]
    found["Env"] = [entry for entry in env if not entry.startswith("PATH=")]
    labels = image.config.labels
    found["Labels"] = {name: labels[name] for name in labels if name != "io.buildah.version"}
    volumes = config.get("Volumes")
    found["Volumes"] = sorted(volumes) if isinstance(volumes, dict) else []
    found["WorkingDir"] = image.config.working_dir or "/"
    return found


@pytest.mark.parametrize("case", CASES)
def test_equal_files_and_settings(yard: Yard, tmp_path: Path, case: str) -> None:
    theirs = built_by_buildah(yard, CASES[case], tmp_path)
    ours = yard.build(CASES[case]).image
    assert settings(ours) == settings(theirs)
    assert files(yard.store, ours) == files(yard.store, theirs)
