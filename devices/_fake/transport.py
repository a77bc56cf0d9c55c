"""A board in memory: a disk that counts and fails, programs that look at what is on it, a plug that can be pulled."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from edgewright.boards.agent import unpack
from edgewright.contracts.transport import Completed, Transport
from edgewright.devices._fake.disk import FakeDisk, PowerCut
from edgewright.devices._fake.systemd import MANAGER, FakeSystemd
from edgewright.devices._onboard.agent import answer
from edgewright.devices._onboard.env import Recipe
from edgewright.devices._onboard.machine import Machine, Ran
from edgewright.devices._onboard.wheel import listed, wheel_hash
from edgewright.errors import BundleError, DeviceError
from edgewright.system.interpreter import started

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from edgewright.devices._onboard.machine import Manager

__all__ = ["Fake"]

_PIECE = 1 << 16


class Fake(Transport):
    """The transport `fake`. It runs the board's part of edgewright in this process, on a disk of its own.

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
        self.disk = FakeDisk(capacity_bytes)
        self.root = "/data/edgewright"
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

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        del timeout_s
        if list(argv[1:]) != ["-"]:
            return Completed(127, b"", f"{argv[0]}: not found".encode())
        request = unpack(stdin)
        try:
            said = answer(self.disk, _Programs(self), {**request, "root": request["root"] or self.root})
        except PowerCut as error:
            raise DeviceError("the connection to the board was lost", hint="is it still powered?") from error
        return Completed(0, b"Welcome to the board\n" + said, b"")

    def _push(self, here: Path, there: str) -> None:
        data = here.read_bytes()
        try:
            handle = self.disk.open(there, "write")
            while data:
                data = data[self.disk.write(handle, data[:_PIECE]) :]
            self.disk.close(handle)
        except PowerCut as error:
            raise DeviceError("the connection to the board was lost", hint="is it still powered?") from error

    def _pull(self, there: str, here: Path) -> None:
        here.write_bytes(self.disk.peek(there))


class _Programs(Machine):
    """The board's programs: a check of a bundle passes where every file has the hash that the manifest names."""

    def __init__(self, board: Fake) -> None:
        self.board = board

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        del timeout_s
        self.board.runs.append(list(argv))
        if argv[0] == "systemctl":
            return self.board.systemd.run(self.board.disk, argv[1], self.board.broken)
        module, words = started(argv)
        if words[:1] == ["ask"]:
            row = {"status": "ok", "release": self.board.systemd.serves}
            return Ran(0 if row["release"] else 5, json.dumps({"rows": [row]}).encode(), b"no model is served")
        own = not argv[0].startswith(self.board.root)
        if self.board.bare if own else not self._starts(argv[0]):
            return Ran(1, b"", b"ModuleNotFoundError: No module named 'edgewright'")
        if not module:
            return Ran(self.board.probed, b"", b"no engine" if self.board.probed else b"")
        return self._check("health" if "--quick" in words else "self-test", words[1])

    def _starts(self, script: str) -> bool:
        """Whether every tree of an environment has the files that the RECORDs in it name."""
        peek, wheels = self.board.disk.peek, f"{self.board.root}/wheels"
        recipe = Recipe.of(json.loads(peek(script).splitlines()[1].lstrip(b"# ")))
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
        return {**known, "instructions": [], "ram_mib": 4096, "free_ram_mib": self.board.ram_free_bytes / 2**20}

    def manager(self) -> Manager:
        return MANAGER

    def platform(self) -> dict[str, str]:
        return {"python": "3.11", "implementation": "cpython", "machine": "aarch64", "glibc": "2.36"}

    def boot(self) -> str:
        return str(self.board.boots)

    def who_signed(self, manifest: bytes, signature: bytes, signers: str, revoked: str | None) -> str:
        """A stand-in: a signature is the key's name and the manifest's hash."""
        name, _, digest = signature.decode().partition(" ")
        if name not in self.board.disk.peek(signers).decode().split() or (
            revoked and name in self.board.disk.peek(revoked).decode().split()
        ):
            raise BundleError("no allowed signer made the signature")
        if digest != hashlib.sha256(manifest).hexdigest():
            raise BundleError(f"the signature of {name} does not hold")
        return name
