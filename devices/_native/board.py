"""A device without Python: the board's part of edgewright runs here, and a small runner there does what touches it.

    ROOT/native/SHA256     the runner (`devices/run.c`, compiled for the device) and LiteRT's library
    ROOT/native/chosen     the hashes of the two that are in use; replaced in one step

The store and its promises are those of every board: the same code decides, its disk is the runner's (`disk.py`), and
the lock is the kernel's, held by the runner and gone with the connection. Golden cases are encoded and judged here
and run there. A new runner or engine comes into use once the active release has been proven with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from edgewright.boards.board import Board
from edgewright.contracts.board import Install, Visit
from edgewright.devices._native.disk import NativeDisk
from edgewright.devices._native.machine import NativeMachine
from edgewright.devices._native.placing import Programs, look, place
from edgewright.devices._native.talk import Talk
from edgewright.devices._native.talking import Talking
from edgewright.devices._onboard import board as onboard
from edgewright.devices._onboard.agent import answer
from edgewright.devices._onboard.checks import check_contained
from edgewright.devices._onboard.store import Store
from edgewright.devices._onboard.visit import active
from edgewright.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.bundle.manifest import Artifact
    from edgewright.contracts.board import Call
    from edgewright.contracts.transport import Transport
    from edgewright.devices._native.placing import Found

__all__ = ["NativeBoard"]

_HELLO_S, _LOAD_S, _INFER_S = 60.0, 120.0, 900
"""Choices: a phone that dozes answers within the first, opens the largest file within the second, and ends a series of
inferences within the third; what takes longer hangs."""


class NativeBoard(Board):
    """A device with a runner on it. `over` makes one where there is need of it.

    Attributes:
        root: where its releases are, an absolute path there.
        programs: the runner and engine to use.
        chosen: those that are in use there; None where none are yet.
    """

    native: ClassVar[bool] = True
    way: Talking

    def __init__(self, way: Talking, root: str, programs: Programs, chosen: Programs | None) -> None:
        super().__init__(way, root)
        self.programs, self.chosen = programs, chosen
        self._open: tuple[Talk, NativeDisk] | None = None

    @classmethod
    def over(
        cls, way: Transport, *, root: str = "", python: str = "", runner: str = "", engine: str = ""
    ) -> NativeBoard | None:
        """A device without Python; None where it has one, or one is named.

        Args:
            way: the way to the device.
            root: where its releases are; by default `~/.local/share/edgewright` there.
            python: its Python, if that shall be used.
            runner: a runner here, to be placed there; by default the one that is there.
            engine: a libLiteRt.so here for the device.

        Raises:
            UsageError: the arguments exclude each other, or this way takes no runner.
            DeviceError: the device has neither a Python nor a runner, or what is there is damaged.
        """
        given = bool(runner or engine)
        if given and python:
            raise UsageError("--python and --runner are two roads", hint="give one of them")
        if not isinstance(way, Talking):
            if given:
                raise UsageError(f"a {type(way).__name__.lower()} device takes no runner", hint="give a --python there")
            return None
        if not given and (python or not way.may_lack_python):
            return None
        found = look(way, root)
        if not given and found.programs is None:
            if found.python:
                return None
            roads = "give --runner and --engine (see edgewright doctor --android), or a Python that its shell may run"
            roads += " by --python"
            raise DeviceError("the device has no Python, and no runner is on it", hint=roads)
        programs = place(way, found, runner, engine) if given else cls._whole(found)
        return cls(way, found.root, programs, found.programs)

    @staticmethod
    def _whole(found: Found) -> Programs:
        if found.programs is None or not found.whole:
            what = f"the runner in {found.root}/native is not what was placed there"
            raise DeviceError(what, hint="flash again, with --runner and --engine")
        return found.programs

    def path(self, digest: str) -> str:
        """Where one of `programs` lies there."""
        return f"{self.root}/native/{digest}"

    def disk(self) -> NativeDisk:
        """The device's disk, by a runner that stays for as long as nothing fails."""
        if self._open is None or self._open[0].over:
            talk = self._talk("serve", timeout_s=_HELLO_S)
            self._open = talk, NativeDisk(talk, self.path(self.programs.runner))
        return self._open[1]

    def _talk(self, *words: str, timeout_s: float) -> Talk:
        argv = [self.path(self.programs.runner), *words]
        return Talk(lambda err: self.way.talk(argv, stderr=err), timeout_s=timeout_s)

    @contextmanager
    def infers(self, path: str, threads: int) -> Iterator[Talk]:
        """A runner that has opened the file at `path` there."""
        words = ("infer", self.path(self.programs.engine), path, str(threads), str(_INFER_S))
        talk = self._talk(*words, timeout_s=_LOAD_S)
        try:
            yield talk
        finally:
            talk.close()

    def machine(self) -> NativeMachine:
        """The device, but for its disk."""
        return NativeMachine(self, self.disk())

    def active(self, digest: str, version: int) -> str:
        """Where the active release lies, whose digest must be the one given, if any, and which must keep to itself.

        Raises as `_onboard.visit.active` and `_onboard.checks.check_contained` do.
        """
        store = Store(self.disk(), self.root)
        name = active(store, digest, version)
        check_contained(store, name)
        return store.release_dir(name)

    def problem(self, folder: str) -> str:
        """What is wrong with the release at `folder` there, in words, every file hashed; "" where it is whole."""
        return Store(self.disk(), self.root).problem(folder.rpartition("/")[2])

    def close(self) -> None:
        """End the runner, and close the way."""
        if self._open is not None:
            self._open[0].close()
        super().close()

    def _answer(self, call: Call, within_s: float) -> Any:
        """The board's part runs here; each step of it has a time of its own."""
        del within_s
        try:
            disk = self.disk()
        except OSError as error:
            raise DeviceError(f"could not run edgewright-run: {type(error).__name__}: {error}") from error
        call, machine = replace(call, root=self.root), NativeMachine(self, disk)
        if isinstance(call.request, Visit):
            raise UsageError(
                "a device without Python runs no edgewright", hint="run, verify, eval and bench work on it"
            )
        if isinstance(call.request, Install) and self.programs != self.chosen:
            self._adopt(machine, onboard.Board(disk, machine, call))
        return answer(disk, machine, call)

    def _adopt(self, machine: NativeMachine, board: onboard.Board) -> None:
        try:
            machine.adopt(board)
        except OSError as error:
            what = f"cannot bring a runner into use: {error.strerror} ({error.filename or self.root})"
            raise DeviceError(what, hint="look at the device's disk") from error
        self.chosen = self.programs

    def starts(self, folder: str) -> object:
        """What starts runners for the artifacts of a release in `folder` there: a `boards.native.release.Start`."""

        def start(artifact: Artifact, threads: int) -> object:
            return self.infers(f"{folder}/{artifact.path}", threads)

        return start
