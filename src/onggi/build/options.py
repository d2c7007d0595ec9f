"""What one build is asked to do."""

from __future__ import annotations

import io
import os

from onggi.build.source import is_text
from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from onggi.build.output import Output

STDIN = "-"
_NETWORKS = ("default", "host", "none")


class Secret:
    """A secret that RUN steps may ask for: from a file, or from a variable of our environment."""

    __slots__ = ("env", "file", "id")

    def __init__(self, id: str, *, file: str = "", env: str = "") -> None:  # noqa: A002  # Docker's word
        self.id = id
        self.file = file
        self.env = env

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Read ``id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]``.

        Without either, the variable of that name counts if it is set, else the file.

        Raises: InvalidInput
        """
        said: dict[str, str] = {}
        for field in text.split(","):
            key, equals, value = field.partition("=")
            key = {"src": "source"}.get(key.strip().lower(), key.strip().lower())
            if not equals or key not in ("id", "source", "env", "type"):
                raise InvalidInput(
                    f"invalid secret field {field!r}", hint="expected id=NAME,src=FILE or env=NAME"
                )
            said[key] = value
        return cls._of(said, text)

    @classmethod
    def _of(cls, said: dict[str, str], text: str) -> Secret:
        kind = said.get("type", "")
        if kind not in ("", "file", "env"):
            raise InvalidInput(f"unsupported secret type {kind!r}", hint="file or env")
        if not said.get("id"):
            raise InvalidInput(f"secret {text!r} has no id")
        env, file = said.get("env", ""), said.get("source", "")
        if kind == "env" and file:
            env, file = file, ""
        if env and file:
            raise InvalidInput(f"secret {text!r} names both a file and a variable")
        return cls(said["id"], file=file, env=env)


class Context:
    """A context beside the context: a directory, or an image of the store under another name."""

    __slots__ = ("image", "path")

    def __init__(self, *, path: str = "", image: str = "") -> None:
        self.path = path
        self.image = image

    @classmethod
    def parse(cls, text: str) -> tuple[str, Context]:
        """Read ``--build-context NAME=DIR`` or ``NAME=docker-image://IMAGE``; return name and it.

        Raises: InvalidInput
        """
        name, equals, value = text.partition("=")
        kind, scheme, image = value.partition("://")
        if not equals or not name or not value or (scheme and kind != "docker-image"):
            raise InvalidInput(
                f"invalid build context {text!r}", hint="NAME=DIR or NAME=docker-image://IMAGE"
            )
        if scheme:
            return name.lower(), cls(image=image)
        if not os.path.isdir(value):
            raise InvalidInput(f"build context {name}: {value!r} is not a directory")
        return name.lower(), cls(path=os.path.realpath(value))


def _require_text(kind: str, values: Mapping[str, str]) -> None:
    """Hold to UTF-8 what becomes part of the image's config."""
    for name, value in values.items():
        if not is_text(f"{name}{value}"):
            raise InvalidInput(f"{kind} {name!a} is not UTF-8 text")


def parse_host(text: str) -> tuple[str, str]:
    """Read ``--add-host NAME:ADDRESS``, or with ``=``; return both.

    RUN steps have the host's own network, so `host-gateway` is the loopback.

    Raises: InvalidInput
    """
    import ipaddress

    name, mark, address = text.partition("=" if "=" in text else ":")
    address = address.strip("[]")
    if address == "host-gateway":
        address = "127.0.0.1"
    try:
        ipaddress.ip_address(address)
    except ValueError:
        mark = ""
    if not mark or not name or any(letter.isspace() for letter in name):
        raise InvalidInput(f"bad format for add-host: {text!r}", hint="expected NAME:ADDRESS")
    return name, address


class BuildOptions:
    """What ``onggi build`` was told.

    Attributes:
        context: a directory, or `-` for standard input: an archive of one, or a Dockerfile alone.
        dockerfile: its path, `-` for standard input, empty for ``Dockerfile`` in the context.
        tags: names for the image, as users write them. target: a stage, empty for the last.
        build_args: by name. labels: put on the image. secrets: by id, for RUN to ask for.
        no_cache: every step is run anew. network: for RUN steps: default, host or none.
        platform: refused unless it is this machine's.
        stdin: standard input, read where `-` names it. outputs: where the result goes, into the
            store if nowhere else. no_cache_stages: those that are run anew. annotations: put on
            the manifest. hosts: (name, address) of hosts that RUN steps know beside others.
            limits: what RUN steps may use, as ContainerOptions has them. contexts: what names of
            images and stages mean instead, by name in small letters.
    """

    __slots__ = (
        "annotations",
        "build_args",
        "context",
        "contexts",
        "dockerfile",
        "hosts",
        "labels",
        "limits",
        "network",
        "no_cache",
        "no_cache_stages",
        "outputs",
        "platform",
        "secrets",
        "stdin",
        "tags",
        "target",
    )

    def __init__(
        self,
        *,
        context: str,
        dockerfile: str = "",
        tags: Sequence[str] = (),
        target: str = "",
        build_args: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        secrets: Sequence[Secret] = (),
        no_cache: bool = False,
        network: str = "default",
        platform: str = "",
        stdin: BinaryIO | bytes = b"",
        outputs: Sequence[Output] = (),
        no_cache_stages: Sequence[str] = (),
        annotations: Mapping[str, str] | None = None,
        hosts: Sequence[tuple[str, str]] = (),
        limits: Mapping[str, object] | None = None,
        contexts: Mapping[str, Context] | None = None,
    ) -> None:
        if network not in _NETWORKS:
            raise InvalidInput(f"network {network!r} is unsupported", hint=", ".join(_NETWORKS))
        for kind, values in (("build arg", build_args), ("label", labels)):
            _require_text(kind, values or {})
        self.context = context
        self.dockerfile = dockerfile
        self.tags = tuple(tags)
        self.target = target
        self.build_args = dict(build_args or {})
        self.labels = dict(labels or {})
        self.secrets = {secret.id: secret for secret in secrets}
        self.no_cache = no_cache
        self.network = network
        self.platform = platform
        self.outputs = tuple(outputs)
        self.no_cache_stages = frozenset(name.lower() for name in no_cache_stages)
        self.annotations = dict(annotations or {})
        self.hosts = tuple(hosts)
        self.limits = dict(limits or {})
        self.contexts = dict(contexts or {})
        self.stdin: BinaryIO = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
