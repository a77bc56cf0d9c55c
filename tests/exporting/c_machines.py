"""Where programs of the C core run, and the Python beside them: this machine, or an emulated board."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import python_side

from edgewright.devices._emulation.boards import CPUS, emulated
from edgewright.devices.qemu import Qemu

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


class Machine:
    """This one: its compiler, the engines of its Python's wheels, and that Python."""

    name = "here"
    compiler = "gcc"

    def wheels(self, package: str) -> Path:
        """The directory of an installed package."""
        module = __import__(package)
        return Path(next(iter(module.__path__)))

    def engine(self, assets: Path | None = None) -> Path:
        """The library of ONNX Runtime that the wheel for this machine has, or LiteRT's where the model is for it."""
        if assets is not None and next(assets.glob("*.tflite"), None):
            return self.wheels("ai_edge_litert") / "libLiteRt.so"
        return next((self.wheels("onnxruntime") / "capi").glob("libonnxruntime.so.*"))

    def ran(self, argv: Sequence[Any], given: bytes) -> subprocess.CompletedProcess[bytes]:
        """What came of a program that was compiled for this machine."""
        return subprocess.run([str(word) for word in argv], input=given, capture_output=True, check=False)

    def python(self, side: str, bundle: Path, asked: Any, settings: Any, **ways: Any) -> Any:
        """What a function of `python_side` gives on this machine."""
        return getattr(python_side, side)(bundle, asked, settings, **ways)


class Emulated(Machine):
    """An emulated board, made where there is none yet: the cross compiler, and the aarch64 wheels that it has."""

    compiler = "aarch64-linux-gnu-gcc"

    def __init__(self, cpu: str) -> None:
        self.name, self.board = cpu, Qemu.prepare(cpu)
        self.spot = emulated(cpu)
        self.litert = tempfile.TemporaryDirectory()
        package = Path(self.litert.name, "ai_edge_litert")
        package.mkdir()
        for file in self.wheels(package.name).iterdir():
            if "WebGpu" not in file.name:  # see `python_side`
                (package / file.name).symlink_to(file)

    def wheels(self, package: str) -> Path:
        return self.spot.cache / str(self.spot.made_of()["userland"]) / "wheels" / package

    def ran(self, argv: Sequence[Any], given: bytes) -> subprocess.CompletedProcess[bytes]:
        line = [*self.spot.emulator(), *(str(word) for word in argv)]
        env = self.spot.environment()
        return subprocess.run(line, input=given, capture_output=True, check=False, env=env)

    def python(self, side: str, bundle: Path, asked: Any, settings: Any, **ways: Any) -> Any:
        given = json.dumps([side, str(bundle), asked, settings, {"threads": 1, **ways}]).encode()
        line, env = [self.spot.python, python_side.__file__, self.litert.name], self.spot.environment()
        done = subprocess.run(line, input=given, capture_output=True, check=False, env=env)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return json.loads(done.stdout)


HERE = Machine()


def unlike(
    machine: Machine, side: str, bundle: Path, asked: Sequence[Any], mine: Sequence[Any], settings: Any, **ways: Any
) -> tuple[list[int], list[int], list[Any]]:
    """Which things that a machine wrote are not what Python does here, and which are not its own Python's either.

    Engines round by the processor: where another token came of it, the machine's own Python has the same library.
    Given too is what Python wrote here.
    """

    def others(theirs: list[Any], some: Sequence[int]) -> list[int]:
        return [at for at in some if mine[at] != theirs[at]]

    here = HERE.python(side, bundle, asked, settings, **ways)
    bad = others(here, range(len(asked)))
    if machine is HERE or not bad:
        return bad, bad, here
    return bad, others(machine.python(side, bundle, asked, settings, **ways), bad), here


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--emulated [CPU...]`: ask there, not here."""
    words = "ask the C core on emulated boards instead, each where no CPU is named"
    parser.add_argument("--emulated", nargs="*", choices=tuple(CPUS), metavar="CPU", help=words)


def machines(args: argparse.Namespace) -> tuple[Machine, ...]:
    """Those that were chosen."""
    if args.emulated is None:
        return (HERE,)
    return tuple(Emulated(cpu) for cpu in args.emulated or CPUS)
