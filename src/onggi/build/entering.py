"""WORKDIR: the directory is made if it is missing, and belongs to the user of that moment.

Source: buildkit, frontend/dockerfile/dockerfile2llb/convert.go (dispatchWorkdir).
"""

from __future__ import annotations

from onggi.build.keys import StepInputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.bench import Bench
    from onggi.build.instructions import Workdir
    from onggi.build.new_layer import NewLayer
    from onggi.build.state import StageState


class WorkdirStep:
    """One WORKDIR, whose path is the state's working directory already."""

    def __init__(self, bench: Bench, state: StageState, instruction: Workdir) -> None:
        self._bench = bench
        self._state = state
        self._what = instruction

    @property
    def title(self) -> str:
        """What people are told."""
        return self._what.title

    @property
    def created_by(self) -> str:
        """The line of history."""
        return f"WORKDIR {self._state.working_dir}"

    def inputs(self) -> StepInputs:
        """Return all that the result depends on."""
        return StepInputs(
            self.created_by,
            self._state.chain,
            settings={
                "SOURCE_DATE_EPOCH": self._bench.epoch_text(),
                "user": self._state.user,
            },
        )

    def chain(self) -> tuple[str, ...]:
        """Return the diff IDs that the new layer is made on."""
        return self._state.chain

    def carry_out(self, layer: NewLayer, number: int) -> None:
        """Make the directory; nothing is written about it, so `number` is unused.

        Raises: BuildError: the user is unknown. OSError: something else is in the way.
        """
        from onggi.build.copying import Attributes, Destination
        from onggi.build.ownership import resolve_owner
        from onggi.linux.path import Inside

        with layer.open() as root:
            user = self._state.user
            owner = resolve_owner(user, Inside(root.fileno())) if user else None
            attributes = Attributes(owner=owner, time_ns=self._bench.time_ns)
            Destination(root.fileno(), attributes).make_directories(self._state.working_dir)
