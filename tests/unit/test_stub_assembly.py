"""The bytes that are shipped are what the sources beside them assemble to.

Run as a program, this writes src/onggi/runtime/stub/programs.py anew.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from onggi.runtime.stub import programs

FOLDER = Path(programs.__file__).parent
MACHINES = ("x86_64", "aarch64")
CROSS = {machine: f"{machine}-linux-gnu-" for machine in MACHINES}


def toolchain(machine: str) -> str | None:
    """Return the prefix of binutils for `machine`, or None where they are not installed."""
    for prefix in (CROSS[machine], ""):
        assembler = shutil.which(f"{prefix}as")
        if assembler and shutil.which(f"{prefix}objcopy") and targets(assembler, machine):
            return prefix
    return None


def targets(assembler: str, machine: str) -> bool:
    """Tell whether this assembler makes programs for `machine`."""
    version = subprocess.run([assembler, "--version"], capture_output=True, text=True, check=True)
    return f"{machine}-linux-gnu" in version.stdout


def assemble(machine: str, prefix: str) -> bytes:
    """Assemble the source for `machine`; the ELF headers are data in it, so nothing is linked."""
    with tempfile.TemporaryDirectory() as scratch:
        made, raw = f"{scratch}/enter.o", f"{scratch}/enter"
        subprocess.run([f"{prefix}as", f"{machine}.S", "-o", made], cwd=FOLDER, check=True)
        subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", made, raw], check=True)
        return Path(raw).read_bytes()


@pytest.mark.parametrize("machine", MACHINES)
def test_shipped_bytes_are_the_sources_assembled(machine: str) -> None:
    prefix = toolchain(machine)
    if prefix is None:
        pytest.skip(f"no binutils for {machine}; the bytes are taken on trust here")
    assert assemble(machine, prefix).hex() == programs.PROGRAMS[machine], (
        f"run PYTHONPATH=src python {__file__}"
    )


HEADER = '''\
"""The program `enter`, assembled, for each machine; `stub` says what it does.

Written by ``python tests/unit/test_stub_assembly.py`` from the sources in this folder.
"""

PROGRAMS = {
'''


def render(machines: dict[str, bytes]) -> str:
    """Return the text of programs.py."""
    lines = [HEADER]
    for machine, content in machines.items():
        text = content.hex()
        lines.append(f'    "{machine}": (\n')
        lines += [f'        "{text[at : at + 80]}"\n' for at in range(0, len(text), 80)]
        lines.append("    ),\n")
    return "".join([*lines, "}\n"])


if __name__ == "__main__":
    every = {machine: assemble(machine, toolchain(machine) or "") for machine in MACHINES}
    (FOLDER / "programs.py").write_text(render(every))
