"""The seam of a transport: runs a program on a device, and copies files. A transport is a file in `devices/`.

Its name is the scheme of a URL: `devices/folder.py` is reached as `folder://REST`. It writes three underscored methods;
the public ones call them, and narrow whatever they raise to an error of `edgewright.errors`. A directory of this
machine as a device:

    import shutil
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.contracts.transport import Completed, Transport
    from edgewright.errors import UsageError

    __all__ = ["Folder"]


    class Folder(Transport):
        def __init__(self, root: Path) -> None:
            self._root = root

        @classmethod
        def at(cls, rest: str) -> Transport:
            if not Path(rest).is_dir():
                raise UsageError(f"folder://{rest} names no directory", hint="give one, as folder:///srv/board")
            return cls(Path(rest))

        def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
            done = subprocess.run(
                argv, input=stdin, capture_output=True, cwd=self._root, timeout=timeout_s, check=False
            )
            return Completed(done.returncode, done.stdout, done.stderr)

        def _push(self, here: Path, there: str) -> None:
            shutil.copyfile(here, self._root / there)

        def _pull(self, there: str, here: Path) -> None:
            shutil.copyfile(self._root / there, here)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.errors import (
    DeviceError,
    EdgewrightError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


__all__ = ["Completed", "Tally", "Transport"]


@dataclass(frozen=True)
class Completed:
    """A command that ended on a device: its exit code and what it printed, as bytes."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Transport(ABC):
    """The way to a device: run an argument vector there, and copy files. Never a shell line.

    Attributes:
        python: the Python to ask for on the device.
        emulated: whether its time is not a device's: `edgewright.boards.instructions` are counted instead.
    """

    python: str = "python3"
    emulated: bool = False

    @classmethod
    def at(cls, rest: str) -> Transport:
        """The device that a URL names: `rest` follows `SCHEME://`, checked by `edgewright.boards.connect.connect`.

        Nothing need be asked of the device yet.

        Raises:
            UsageError: it is no address of this kind.
        """
        raise UsageError(f"a {cls.__name__.lower()} device has no address, {rest!r} was given")

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what the way holds on this machine, such as a connection; the next step opens it again."""

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Completed:
        """Run a program and wait for it.

        Raises:
            DeviceError: it could not be started, or ran longer than `timeout_s` seconds and was given up.
            ConnectionLost: the way broke; what was started may have gone on.
        """
        done: Completed = self._narrow(lambda: self._run(argv, timeout_s=timeout_s, stdin=stdin), f"run {argv[0]}")
        return done

    def push(self, here: Path, there: str) -> None:
        """Copy a file to the device. Raises DeviceError."""
        self._narrow(lambda: self._push(here, there), f"push {here.name}")

    def pull(self, there: str, here: Path) -> None:
        """Copy a file from the device. Raises DeviceError."""
        self._narrow(lambda: self._pull(there, here), f"pull {there}")

    @staticmethod
    def _narrow(step: Callable[[], Any], what: str) -> Any:
        try:
            return step()
        except EdgewrightError:
            raise
        except Exception as error:
            raise DeviceError(f"could not {what}: {type(error).__name__}: {error}") from error

    @abstractmethod
    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed: ...

    @abstractmethod
    def _push(self, here: Path, there: str) -> None: ...

    @abstractmethod
    def _pull(self, there: str, here: Path) -> None: ...

    def count(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> tuple[Completed, tuple[Tally, ...]]:
        """Run the device's Python as `run` does, and count the instructions between its marks, where it is emulated."""
        del argv, timeout_s, stdin
        raise UsageError("instructions are counted on an emulated board alone", hint="give one, as qemu://cortex-a72")


@dataclass(frozen=True)
class Tally:
    """What was executed between two marks.

    Attributes:
        mark: the number of the second one.
        instructions: all of them.
        dot_products: SDOT and UDOT, 16 int8 products each; of Armv8.2 and newer.
        matrix_products: SMMLA, UMMLA and USMMLA, 32 int8 products each; of Armv8.6 and newer.
        multiply_adds: vector FMLA, 4 float products each.
    """

    mark: int
    instructions: int
    dot_products: int
    matrix_products: int
    multiply_adds: int
