"""A board in memory: a disk that counts and fails, programs that look at what is on it, a plug that can be pulled."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NoReturn

from edgewright.boards.agent import heard
from edgewright.boards.board import Board
from edgewright.boards.wire import plain, unframe
from edgewright.bundle.sshsig import NAMESPACE
from edgewright.contracts.board_commands import Engines, Health, Program, Verify
from edgewright.contracts.transport import Completed, Transport
from edgewright.devices._fake.disk import FakeDisk, PowerCut
from edgewright.devices._fake.systemd import MANAGER, FakeSystemd
from edgewright.devices._onboard.agent import told
from edgewright.devices._onboard.commands import argv as argv_of
from edgewright.devices._onboard.env import Recipe
from edgewright.devices._onboard.machine import Machine, Ran
from edgewright.devices._onboard.wheel import listed, wheel_hash
from edgewright.errors import BundleError, DeviceError
from edgewright.system.untrusted import json_or_none

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.bundle.sshsig import Signers
    from edgewright.contracts.board import Call
    from edgewright.contracts.board_commands import Command
    from edgewright.devices._onboard.commands import Place
    from edgewright.devices._onboard.machine import Manager

__all__ = ["Fake"]

_PIECE = 1 << 16
"""Bytes that are written at once: small enough for a file of a test to take several operations."""


class Fake(Board):
    """A board that runs its part of edgewright in this process, on a disk of its own; all crosses as JSON does.

    Attributes:
        disk: the board's disk, with its count of operations and the fault that shall come.
        verdicts: how a check of a bundle ends, by the bundle's version and the check (`self-test` or `health`): an exit
            code and a line of standard error, or an error that is raised. Others end as the files on the disk say.
        systemd: the board's service manager; with `broken` versions of the bundle the service does not start.
        rows: what a check that passes prints.
        probed: the exit code of a look at the engines.
        bare: whether its own Python lacks edgewright.
        ram_free_bytes: memory that is left.
        runs: the argument vectors of all programs that were run on the board.
    """

    def __init__(self, capacity_bytes: int = 2**30) -> None:
        super().__init__(_Way(self), "/data/edgewright")
        self.disk = FakeDisk(capacity_bytes)
        self.verdicts: dict[tuple[int, str], tuple[int, str] | DeviceError] = {}
        self.probed, self.ram_free_bytes, self.boots, self.bare = 0, 2**32, 0, False
        self.rows: list[dict[str, str | None]] = [{"format": "onnx", "engine": "fake", "golden": "1 of 1"}]
        self.runs: list[list[str]] = []
        self.systemd, self.broken = FakeSystemd(), list[int]()

    def reboot(self, luck: random.Random | None = None, *, kept: bool = False) -> None:
        """Pull the plug, and put it back in."""
        self.boots += 1
        self.disk.reboot(luck, kept=kept)
        self.systemd.boot(self.disk, self.broken)

    def _answer(self, call: Call, within_s: float) -> Any:
        del within_s
        request = json.loads(json.dumps(plain(call)))
        try:
            said = told(self.disk, _Programs(self), request, lambda root: root)
        except PowerCut as error:
            _lost(error)
        return heard(unframe(b"Welcome to the board\n" + said) or {}, call.request)


def _lost(error: BaseException) -> NoReturn:
    raise DeviceError("the connection to the board was lost", hint="is it still powered?") from error


class _Way(Transport):
    """The way to the board's disk; programs are run by the board alone."""

    def __init__(self, board: Fake) -> None:
        self._board = board

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        del timeout_s, stdin
        return Completed(127, b"", f"{argv[0]}: not found".encode())

    def _push(self, here: Path, there: str) -> None:
        data, disk = here.read_bytes(), self._board.disk
        try:
            handle = disk.open(there, "write")
            while data:
                data = data[disk.write(handle, data[:_PIECE]) :]
            disk.close(handle)
        except PowerCut as error:
            _lost(error)

    def _pull(self, there: str, here: Path) -> None:
        here.write_bytes(self._board.disk.peek(there))


class _Programs(Machine):
    """The board's programs: a check of a bundle passes where every file has the hash that the manifest names."""

    def __init__(self, board: Fake) -> None:
        self.board = board

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """A program of the board's own: systemctl, or a look of its Python at nothing in particular."""
        del timeout_s
        self.board.runs.append(list(argv))
        if argv[0] == "systemctl":
            return self.board.systemd.run(self.board.disk, argv[1], self.board.broken)
        return (
            Ran(1, b"", b"ModuleNotFoundError: No module named 'edgewright'") if self._lacks(argv[0]) else self._look()
        )

    def check(self, command: Command, place: Place, timeout_s: float) -> Ran:
        """What a board with a Python does, told apart by what it is asked."""
        argv = argv_of(command, place)
        if isinstance(command, Engines):
            return self.run(argv, timeout_s)
        self.board.runs.append(argv)
        if isinstance(command, Health):
            row = {"status": "ok", "release": self.board.systemd.serves}
            return Ran(0 if row["release"] else 5, json.dumps({"rows": [row]}).encode(), b"no model is served")
        if isinstance(command, Program):
            return Ran(0, json.dumps({"rows": self.board.rows}).encode(), b"")
        if self._lacks(argv[0]):
            return Ran(1, b"", b"ModuleNotFoundError: No module named 'edgewright'")
        quick = isinstance(command, Verify) and command.quick
        return self._check("health" if quick else "self-test", place.bundle)

    def _look(self) -> Ran:
        return Ran(self.board.probed, b"", b"no engine" if self.board.probed else b"")

    def _lacks(self, python: str) -> bool:
        """Whether a Python has no edgewright: the board's own, or a script of an environment."""
        own = not python.startswith(self.board.root)
        return self.board.bare if own else not self._starts(python)

    def _starts(self, script: str) -> bool:
        """Whether every tree of an environment has the files that the RECORDs in it name."""
        peek, wheels = self.board.disk.peek, f"{self.board.root}/wheels"
        try:
            recipe = Recipe.of(json_or_none(peek(script).splitlines()[1].lstrip(b"# ")))
        except IndexError:  # no shell would make anything of it
            return False
        kinds = self.board.disk.tree(wheels)
        records = [path for path in kinds if path.endswith("/RECORD")]
        trees = {path[len(wheels) + 1 :].partition("/")[0]: listed(peek(path)) for path in records}
        return recipe is not None and all(
            digest == wheel_hash(peek(f"{wheels}/{tree}/{path}") if f"{wheels}/{tree}/{path}" in kinds else b"")
            for tree in recipe.trees
            for path, digest in trees.get(tree, [("", "missing")])
        )

    def _check(self, check: str, folder: str) -> Ran:
        try:
            tree = json.loads(self.board.disk.peek(f"{folder}/manifest.json"))
            listed = [*tree["artifacts"], *tree["files"]]
            bad = [file["path"] for file in listed if self._hash(f"{folder}/{file['path']}") != file["sha256"]]
        except (OSError, ValueError, KeyError) as error:
            return Ran(3, b"", f"edgewright: bundle-error: {error}".encode())
        verdict = self.board.verdicts.get((tree.get("version", 0), check), (0, ""))
        if isinstance(verdict, DeviceError):
            raise verdict
        code, words = (4, f"edgewright: gate-failed: {', '.join(bad)}") if bad else verdict
        return Ran(code, b"" if code else json.dumps({"rows": self.board.rows}).encode(), words.encode())

    def _hash(self, path: str) -> str:
        return hashlib.sha256(self.board.disk.peek(path)).hexdigest()

    def ram_bytes(self) -> int:
        return self.board.ram_free_bytes

    def facts(self) -> dict[str, Any]:
        known = {
            "model": "a board in memory",
            "product": "",
            "architecture": "aarch64",
            "cores": [],
            "os": "",
            "kernel": "",
        }
        silent = dict.fromkeys(("temperature_c", "clock_mhz", "governor", "load", "throttled"))
        memory = {"ram_mib": 4096, "free_ram_mib": self.board.ram_free_bytes / 2**20}
        return {**known, "instructions": [], **memory, **silent}

    def manager(self) -> Manager:
        return MANAGER

    def platform(self) -> dict[str, str]:
        return {"python": "3.11", "implementation": "cpython", "machine": "aarch64", "glibc": "2.36"}

    def boot(self) -> str:
        return str(self.board.boots)

    def who_signed(self, data: bytes, signatures: bytes, signers: Signers, namespace: str = NAMESPACE) -> str:
        """A stand-in: a signature is the key's name and the hash of what is signed."""
        del namespace
        name, _, digest = signatures.decode().partition(" ")
        if name not in signers.allowed.decode().split() or name in signers.revoked.decode().split():
            raise BundleError("no allowed signer made the signature")
        if digest != hashlib.sha256(data).hexdigest():
            raise BundleError(f"the signature of {name} does not hold")
        return name
