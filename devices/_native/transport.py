"""A device without Python: the board's part of edgewright runs here, and a small runner there does what touches it.

    ROOT/native/SHA256     the runner (`devices/run.c`, compiled for the device) and LiteRT's library
    ROOT/native/chosen     the hashes of the two that are in use; replaced in one step

The store and its promises are those of every board: the same code decides, its disk is the runner's (`_far_disk.py`),
and the lock is the kernel's, held by the runner and gone with the connection. Golden cases are encoded and judged here
and run there. A new runner or engine comes into use once the active release has been proven with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgewright.boards.agent import unpack
from edgewright.contracts.transport import Completed, Transport
from edgewright.devices._native.disk import FarDisk
from edgewright.devices._native.machine import FarMachine
from edgewright.devices._native.placing import Native, look, place
from edgewright.devices._native.talk import Talk
from edgewright.devices._native.talking import Talking
from edgewright.devices._onboard.agent import answer
from edgewright.devices._onboard.board import Board
from edgewright.devices._onboard.checks import check_contained
from edgewright.devices._onboard.store import Store
from edgewright.devices._onboard.visit import active
from edgewright.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgewright.bundle.manifest import Artifact
    from edgewright.devices._native.placing import Found

__all__ = ["Bare"]

_OPS = ("prepare", "install", "end", "rollback", "status", "uninstall")
_HELLO_S, _LOAD_S, _INFER_S = 60.0, 120.0, 900


class Bare(Transport):
    """A way to a device, with a runner on it. `over` makes one where there is need of it.

    Attributes:
        way: the transport to the device itself.
        root: where its releases are, an absolute path there.
        native: the runner and engine to use.
        chosen: those that are in use there; None where none are yet.
    """

    python = "edgewright-run"

    def __init__(self, way: Talking, root: str, native: Native, chosen: Native | None) -> None:
        self.way, self.root, self.native, self.chosen = way, root, native, chosen
        self._open: tuple[Talk, FarDisk] | None = None

    @classmethod
    def over(cls, way: Transport, *, root: str = "", python: str = "", runner: str = "", engine: str = "") -> Transport:
        """The way itself where the device has a Python, or one is named; else one with a runner.

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
            return way
        if not given and (python or not way.may_lack_python):
            return way
        found = look(way, root)
        if not given and found.native is None:
            if found.python:
                return way
            roads = "give --runner and --engine (see edgewright doctor --android), or a Python that its shell may run"
            roads += " by --python"
            raise DeviceError("the device has no Python, and no runner is on it", hint=roads)
        native = place(way, found, runner, engine) if given else cls._whole(found)
        return cls(way, found.root, native, found.native)

    @staticmethod
    def _whole(found: Found) -> Native:
        if found.native is None or not found.whole:
            what = f"the runner in {found.root}/native is not what was placed there"
            raise DeviceError(what, hint="flash again, with --runner and --engine")
        return found.native

    def path(self, digest: str) -> str:
        """Where a file of `native` lies there."""
        return f"{self.root}/native/{digest}"

    def disk(self) -> FarDisk:
        """The device's disk, by a runner that stays for as long as nothing fails."""
        if self._open is None or self._open[0].over:
            talk = self._talk("serve", timeout_s=_HELLO_S)
            self._open = talk, FarDisk(talk, self.path(self.native.runner))
        return self._open[1]

    def _talk(self, *words: str, timeout_s: float) -> Talk:
        argv = [self.path(self.native.runner), *words]
        return Talk(lambda err: self.way.talk(argv, stderr=err), timeout_s=timeout_s)

    @contextmanager
    def infers(self, path: str, threads: int) -> Iterator[Talk]:
        """A runner that has opened the file at `path` there."""
        words = ("infer", self.path(self.native.engine), path, str(threads), str(_INFER_S))
        talk = self._talk(*words, timeout_s=_LOAD_S)
        try:
            yield talk
        finally:
            talk.close()

    def machine(self) -> FarMachine:
        """The device, but for its disk."""
        return FarMachine(self, self.disk())

    def active(self, digest: str, version: int) -> str:
        """Where the active release lies, whose digest must be the one given, if any, and which must keep to itself.

        Raises as `_visit.active` and `_checks.check_contained` do.
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
        self.way.close()

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        if list(argv[1:]) != ["-"]:
            return self.way.run(argv, timeout_s=timeout_s, stdin=stdin)
        request = {**unpack(stdin), "root": self.root}
        disk = self.disk()
        machine = FarMachine(self, disk)
        if request["op"] == "visit":
            raise UsageError(
                "a device without Python runs no edgewright", hint="run, verify, eval and bench work on it"
            )
        if request["op"] == "install" and self.native != self.chosen:
            self._adopt(machine, Board(disk, machine, request))
        return Completed(0, answer(disk, machine, request), b"")

    def _adopt(self, machine: FarMachine, board: Board) -> None:
        try:
            machine.adopt(board)
        except OSError as error:
            what = f"cannot bring a runner into use: {error.strerror} ({error.filename or self.root})"
            raise DeviceError(what, hint="look at the device's disk") from error
        self.chosen = self.native

    def _push(self, here: Path, there: str) -> None:
        self.way.push(here, there)

    def _pull(self, there: str, here: Path) -> None:
        self.way.pull(there, here)

    def starts(self, folder: str) -> object:
        """What starts runners for the artifacts of a release in `folder` there: a `boards.native.release.Start`."""

        def start(artifact: Artifact, threads: int) -> object:
            return self.infers(f"{folder}/{artifact.path}", threads)

        return start
