"""RUN: what it depends on, and carrying it out."""

from __future__ import annotations

from onggi.build.configuring import shell_form
from onggi.build.errors import RunFailed
from onggi.build.heredoc import heredoc_of
from onggi.build.keys import StepInputs
from onggi.build.run_mounts import read_mount
from onggi.build.state import DEFAULT_PATH
from onggi.build.variables import PROXY_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.bench import Bench
    from onggi.build.heredoc import Heredoc
    from onggi.build.instructions import Run
    from onggi.build.mounting import Mounting
    from onggi.build.new_layer import NewLayer
    from onggi.build.state import StageState

# Where a script given as a document lies while it runs; on the container's own tmpfs.
_SCRIPTS = "/dev/pipes"


class RunStep:
    """One RUN; its command is not expanded, that is the shell's business."""

    def __init__(self, bench: Bench, state: StageState, instruction: Run) -> None:
        self._bench = bench
        self._state = state
        self._what = instruction
        self._script: Heredoc | None = None
        self._argv = self._command()
        variables = state.variables.values
        self._mounts = [
            read_mount(text, lambda word: bench.expander.word(word, variables))
            for text in instruction.mounts
        ]

    def _command(self) -> list[str]:
        """Return what to execute.

        A document alone is the shell's text, or, if it begins with ``#!``, a program of its own.
        Documents beside a command are put back behind it, for the shell to read.
        """
        what = self._what
        if not what.heredocs:
            return shell_form(self._state, what)
        text = what.words[0]
        first = what.heredocs[0]
        if heredoc_of(text) is None:
            documents = [f"\n{each.text}{each.name}" for each in what.heredocs]
            return [*self._state.shell, "".join([text, *documents])]
        if first.content.startswith("#!"):
            self._script = first
            return [f"{_SCRIPTS}/{first.name}"]
        return [*self._state.shell, first.content]

    @property
    def title(self) -> str:
        """What people are told."""
        if not self._what.heredocs:
            return self._what.title
        lines = self._what.heredocs[0].content.strip().split("\n")
        return f"{self._what.title} ({lines[0]}{'...' if len(lines) > 1 else ''})"

    @property
    def created_by(self) -> str:
        """The line of history; secrets appear in it by their ids at most."""
        said = self._state.variables.said_by_arguments()
        return " ".join(["RUN", *said, *self._argv])

    def inputs(self) -> StepInputs:
        """Return all that the result depends on.

        Raises: SourceNotFound: a mount names something that is not there.
        """
        state = self._state
        values = {
            name: value for name, value in state.variables.values.items() if name not in PROXY_NAMES
        }
        return StepInputs(
            " ".join(["RUN", *self._argv, *([self._script.content] if self._script else [])]),
            state.chain,
            arguments={name: values[name] for name in state.variables.arguments if name in values},
            variables={
                name: value
                for name, value in values.items()
                if name not in state.variables.arguments
            },
            settings={
                "SOURCE_DATE_EPOCH": self._bench.epoch_text(),
                "command": self._argv,
                "mounts": [mount.key() for mount in self._mounts],
                "network": self._network(),
                "user": state.user,
                "working directory": state.working_dir,
                **self._hosts_setting(),
            },
            files=self._files(),
        )

    def _files(self) -> dict[str, str]:
        """Digest what is bound from the context, stages and images."""
        from onggi.build.selection import Selection
        from onggi.build.sources import Stack

        files: dict[str, str] = {}
        for mount in self._mounts:
            if mount.type == "bind":
                stack = self._bench.stack(mount.source_stage)
                whole = not mount.source.strip("/.")
                if isinstance(stack, Stack) and whole:
                    files[mount.source_stage] = " ".join(stack.chain)
                else:
                    files.update(Selection(self._bench, stack, [mount.source]).files())
        return files

    def _hosts_setting(self) -> dict[str, object]:
        """What of --add-host counts; nothing where there is none, as in older caches."""
        hosts = self._bench.options.hosts
        return {"extra hosts": [list(host) for host in hosts]} if hosts else {}

    def _network(self) -> str:
        """Return `host` or `none`: there is no network between the two yet."""
        asked = self._what.network
        if asked == "default":
            asked = self._bench.options.network
        return "none" if asked == "none" else "host"

    def chain(self) -> tuple[str, ...]:
        """Return the diff IDs that the new layer is made on."""
        return self._state.chain

    def carry_out(self, layer: NewLayer, number: int) -> None:
        """Run the command in a new layer, telling what it writes as step `number`.

        Raises: RunFailed: it ended with something else than 0. BuildError, OnggiError
        """
        from onggi.build.mounting import Mounting
        from onggi.build.stubs import ALWAYS, note_places, remove_stubs

        with Mounting(self._bench, self._state.working_dir) as mounting:
            for mount in self._mounts:
                mounting.add(mount)
            if self._script is not None:
                mounting.add_script(self._script.name, self._script.content, _SCRIPTS)
            targets = [*ALWAYS, *(mount.target for mount in mounting.mounts)]
            with layer.open() as root:
                places = note_places(root.fileno(), targets)
            status = self._execute(layer, mounting, number)
            remove_stubs(layer.upper, places)
        if status:
            raise RunFailed(self._argv, status)

    def _execute(self, layer: NewLayer, mounting: Mounting, number: int) -> int:
        from onggi.build.executor import RunRequest
        from onggi.build.progress import StepOutput

        reporter = self._bench.reporter
        return self._bench.executor.run(
            RunRequest(
                rootfs=layer.mounts(),
                argv=self._argv,
                env=self._env(mounting),
                cwd=self._state.working_dir,
                user=self._state.user,
                mounts=mounting.mounts,
                network=self._network(),
                output=lambda stream, data: reporter.tell(StepOutput(number, stream, data)),
            )
        )

    def _env(self, mounting: Mounting) -> list[str]:
        """Return the environment: proxies first, so that a variable set by the image wins."""
        given = self._bench.options.build_args
        values = {name: given[name] for name in sorted(PROXY_NAMES) if name in given}
        values.update(self._state.variables.values)
        values.setdefault("PATH", DEFAULT_PATH)
        return [*(f"{name}={value}" for name, value in values.items()), *mounting.env]
