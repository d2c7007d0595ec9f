"""What a stage has become so far: layers, configuration, history, variables."""

from __future__ import annotations

from onggi.build.variables import Variables
from onggi.oci.image import History, ImageConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.cache import StepResult
    from onggi.image.images import Image, Layer
    from onggi.oci.document import Json
    from onggi.oci.platform import Platform

# Source: moby, pkg/system/path_unix.go (DefaultPathEnv).
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
_COMMENT = "onggi build"


class StageState:
    """A stage at one moment; changes as its instructions are carried out.

    Attributes:
        base: the config that everything was added to. settings: its inner `config`, changing.
        layers: all of them, the lowest first. history: of what this build added.
        variables: what ``$x`` means now. cmd_given: CMD stood in this stage, so that an
            ENTRYPOINT does not reset it.
    """

    __slots__ = ("author", "base", "cmd_given", "history", "layers", "settings", "variables")

    def __init__(self, base: ImageConfig, layers: tuple[Layer, ...]) -> None:
        self.base = base
        self.settings = base.settings
        self.author = base.author
        self.layers = list(layers)
        self.history: list[History] = []
        self.cmd_given = False
        self.variables = Variables()
        for pair in base.env:
            name, _, value = pair.partition("=")
            self.variables.set(name, value)

    @classmethod
    def of_nothing(cls, platform: Platform) -> StageState:
        """Begin from `scratch`."""
        config = ImageConfig.of(platform).with_settings(
            {"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"}
        )
        return cls(config, ())

    @classmethod
    def of_image(cls, image: Image) -> StageState:
        """Begin from an image, whose ONBUILD instructions are not inherited."""
        state = cls(image.config, image.layers)
        state.settings.pop("OnBuild", None)
        return state

    def copy(self) -> StageState:
        """Return the state with which a stage begins that stands on this one."""
        twin = StageState(self.base, tuple(self.layers))
        twin.settings = dict(self.settings)
        twin.settings.pop("OnBuild", None)
        twin.author = self.author
        twin.history = list(self.history)
        twin.variables = self.variables.copy()
        return twin

    @property
    def chain(self) -> tuple[str, ...]:
        """The diff IDs of the layers, the lowest first."""
        return tuple(layer.diff_id for layer in self.layers)

    @property
    def working_dir(self) -> str:
        """The absolute directory that relative paths start from."""
        return self.text("WorkingDir") or "/"

    @property
    def user(self) -> str:
        """Who commands run as, empty for root."""
        return self.text("User")

    @property
    def shell(self) -> tuple[str, ...]:
        """What shell forms are run with."""
        return tuple(self.texts("Shell")) or DEFAULT_SHELL

    def text(self, name: str) -> str:
        """Read a text of the configuration."""
        value = self.settings.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Read a list of texts of the configuration."""
        value = self.settings.get(name)
        return [str(item) for item in value] if isinstance(value, list) else []

    def mapping(self, name: str) -> dict[str, Json]:
        """Read an object of the configuration; the result is the caller's own."""
        value = self.settings.get(name)
        return dict(value) if isinstance(value, dict) else {}

    def note(self, created_by: str) -> None:
        """Add a line of history for something that made no layer."""
        entry = History(created_by=created_by, comment=_COMMENT, empty_layer=True)
        self.history.append(entry)

    def add(self, created_by: str, result: StepResult) -> None:
        """Add what a step made, and its line of history."""
        from onggi.image.images import Layer as ImageLayer

        empty = result.diff_id is None or result.layer is None
        if result.diff_id is not None and result.layer is not None:
            self.layers.append(ImageLayer(result.layer, result.diff_id))
        self.history.append(
            History(
                created=result.created,
                created_by=created_by,
                comment=_COMMENT,
                empty_layer=empty,
            )
        )
