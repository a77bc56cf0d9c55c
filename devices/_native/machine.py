"""A device without Python, but for its disk: what a flash asks of a board is found out from here."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgewright.bundle.sshsig import who_signed
from edgewright.devices._onboard.checks import usable
from edgewright.devices._onboard.files import get, put, remove
from edgewright.devices._onboard.machine import Machine, Manager, Ran
from edgewright.devices._onboard.release import MANIFEST, SIGNATURE
from edgewright.errors import BundleError, ConnectionLost, DeviceError, EdgewrightError, one_line
from edgewright.system.interpreter import started
from edgewright.system.untrusted import MAX_JSON_BYTES
from edgewright.system.vitals import Here, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.devices._native.disk import FarDisk
    from edgewright.devices._native.placing import Native
    from edgewright.devices._native.talking import Talking
    from edgewright.devices._onboard.board import Board
    from edgewright.proof.verify import Replay

__all__ = ["FarMachine", "Runner"]

_MAX_FACTS_BYTES, _MAX_KEYS_BYTES = 2**20, 2**20
_MAX_FILE_BYTES = 2**28
_PROBE_S = 60.0
_INT8 = ("avx2", "avx512_vnni", "avx_vnni", "asimddp", "i8mm", "sve")


class Runner(Protocol):
    """What is needed of the way to the device: see `edgewright.devices._native.transport`."""

    way: Talking
    root: str
    native: Native

    def path(self, digest: str) -> str: ...

    def starts(self, folder: str) -> object: ...


class FarMachine(Machine, Here):
    """The machine behind a runner."""

    def __init__(self, bare: Runner, disk: FarDisk) -> None:
        self._bare, self._disk = bare, disk

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Run a program; what `edgewright.boards.checks.Checks.of` asks of a Python is done with the runner instead."""
        if list(argv[1:2]) == ["-c"] and "require_engine" in argv[2]:
            return self._probe(argv[3:])
        module, words = started(argv)
        if (module, words[:1]) == ("edgewright", ["verify"]):
            return self._verify(words[1], quick="--quick" in words)
        done = self._bare.way.run(argv, timeout_s=timeout_s)
        return Ran(done.exit_code, done.stdout, done.stderr)

    def _probe(self, formats: Sequence[str]) -> Ran:
        """Raise DeviceError where a runner opens none of `formats`, or the engine does not load there."""
        from edgewright.boards.native.release import FORMATS

        if formats and not set(formats) & set(FORMATS):
            hint = "build the bundle with --format tflite"
            raise DeviceError(f"a runner opens {', '.join(FORMATS)}, the bundle has {', '.join(formats)}", hint=hint)
        runner, engine = map(self._bare.path, self._bare.native)
        if self._disk.sha256(engine) != self._bare.native.engine:
            hint = "give --runner and --engine again"
            raise DeviceError("the engine on the device is not what was placed there", hint=hint)
        done = self._bare.way.run([runner, "probe", engine], timeout_s=_PROBE_S)
        if done.exit_code != 0:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            words = lines[-1].removeprefix("edgewright-run: ") if lines else f"exit code {done.exit_code}"
            hint = "is this libLiteRt.so for the device, of a release from 2.1 to 2.3?"
            raise DeviceError(f"the engine does not load on the device: {one_line(words, 300)}", hint=hint)
        return Ran(0, b"", b"")

    def _verify(self, folder: str, *, quick: bool) -> Ran:
        try:
            rows = [replay.record() for replay in self.replays(folder, quick=quick)]
        except ConnectionLost:
            raise
        except EdgewrightError as error:
            return Ran(error.exit_code, b"", f"edgewright: {error.code}: {error}".encode())
        return Ran(0, json.dumps({"rows": rows}).encode(), b"")

    def replays(self, folder: str, *, quick: bool = False) -> list[Replay]:
        """The golden cases of the release at `folder` there, run there and judged here. Raises EdgewrightError."""
        from edgewright.boards.native.release import Elsewhere
        from edgewright.bundle.bundle import Bundle
        from edgewright.bundle.manifest import Manifest, decode

        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            self.fetch(folder, Path(scratch))
            manifest = decode(Path(scratch, MANIFEST).read_bytes(), Manifest, MANIFEST)
            start: Any = self._bare.starts(folder)
            return Elsewhere(Bundle(Path(scratch), manifest), start).verify(quick=quick)

    def fetch(self, folder: str, into: Path) -> None:
        """Bring a release here, but for its artifacts. Raises OSError, BundleError and DeviceError."""
        data = get(self._disk, f"{folder}/{MANIFEST}", MAX_JSON_BYTES)
        (into / MANIFEST).write_bytes(data)
        for name in _others(data):
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(get(self._disk, f"{folder}/{name}", _MAX_FILE_BYTES))
        if self._disk.stat(f"{folder}/{SIGNATURE}"):
            (into / SIGNATURE).write_bytes(get(self._disk, f"{folder}/{SIGNATURE}", _MAX_KEYS_BYTES))

    def adopt(self, board: Board) -> None:
        """Let the given runner and engine be those in use, once the active release passes its golden cases with them.

        Raises:
            GateFailed: it does not; nothing changes.
        """
        bare, disk, folder = self._bare, self._disk, f"{self._bare.root}/native"
        with board.locked() as state:
            if state.active and usable(board.store, state.active):
                with suppress(BundleError):  # of one that is not for a runner, nothing gets worse
                    self.replays(board.store.release_dir(state.active))
            for digest in bare.native:
                if disk.sha256(bare.path(digest), sync=True) != digest:
                    raise DeviceError(f"{bare.path(digest)} is not what was placed there", hint="try again")
            disk.sync_dir(folder)
            put(disk, f"{folder}/chosen", f"{bare.native.runner} {bare.native.engine}\n".encode())
            for name in disk.list(folder):
                if name not in (*bare.native, "chosen"):
                    remove(disk, f"{folder}/{name}")

    def ram_bytes(self) -> int:
        lines = (self.text("/proc/meminfo") or "").splitlines()
        found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
        return int(found) * 1024 if found.isdigit() else -1

    def facts(self) -> dict[str, Any]:
        """What `edgewright.system.vitals.moment` tells, and of the rest what a kernel's files do."""
        return {**self.described(), **moment(self)}

    def manager(self) -> Manager:
        """None: such a device has no systemd."""
        return Manager((), "", "", "", problem="a device without Python is not looked at for systemd")

    def platform(self) -> dict[str, str]:
        """Raise DeviceError: no wheel runs where there is no Python."""
        raise DeviceError("a device without Python takes no wheels", hint="flash it with --runner and --engine")

    def boot(self) -> str:
        return self.text("/proc/sys/kernel/random/boot_id") or ""

    def text(self, path: str) -> str | None:
        """What a file of the kernel's says there, None where it is not there or not for us."""
        with suppress(OSError):
            return get(self._disk, path, _MAX_FACTS_BYTES).decode(errors="replace").strip()
        return None

    def names(self, folder: str) -> list[str]:
        """The names in a directory of the kernel's there."""
        with suppress(OSError):
            return self._disk.list(folder)
        return []

    def cores(self) -> int:
        """How many cores there are."""
        found = [name for name in self.names("/sys/devices/system/cpu") if name[:3] == "cpu" and name[3:].isdigit()]
        return len(found) or 1

    def described(self) -> dict[str, Any]:
        """The machine in a few words, as `edgewright.measure.rows.Machine` wants them."""
        system = self._bare.way.run(["uname", "-srm"], timeout_s=_PROBE_S).stdout.decode(errors="replace")
        memory, cpu = (self.text(f"/proc/{name}") or "" for name in ("meminfo", "cpuinfo"))
        total = re.search(r"^MemTotal:\s*(\d+)", memory, re.MULTILINE)
        flags = [word for word in _INT8 if word in cpu.split()]
        return {
            "system": one_line(system, 200) or "unknown",
            "model": self._model(cpu),
            "cores": self.cores(),
            "ram_mib": int(total[1]) // 1024 if total else 0,
            "cpu": ", ".join(flags) or "no known int8 instructions",
        }

    def _model(self, cpu: str) -> str:
        """As Android calls the product, or the device tree the board, or Linux the processor."""
        line = "getprop ro.product.manufacturer && getprop ro.product.model"
        said = self._bare.way.run(["sh", "-c", f"{{ {line}; }} 2>/dev/null"], timeout_s=_PROBE_S)
        product = one_line(said.stdout.decode(errors="replace"), 200)
        found = re.search(r"^model name\s*:\s*(.+)$", cpu, re.MULTILINE)
        board = (self.text("/proc/device-tree/model") or "").rstrip("\0")
        return product or one_line(board, 200) or (one_line(found[1], 200) if found else "unknown")

    def who_signed(self, manifest: bytes, signature: bytes, signers: str, revoked: str | None) -> str:
        """As `edgewright.bundle.sshsig.who_signed`, by the device's keys and this machine's ssh-keygen."""
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            paths = [
                self._key(path, Path(scratch, name)) for path, name in ((signers, "signers"), (revoked, "revoked"))
            ]
            return who_signed(manifest, signature, str(paths[0]), paths[1])

    def _key(self, path: str | None, into: Path) -> str | None:
        if path is None:
            return None
        into.write_bytes(get(self._disk, path, _MAX_KEYS_BYTES))
        return str(into)


def _others(manifest: bytes) -> list[str]:
    """The files of a manifest that are no artifacts, nor weights beside them; their names checked."""
    from edgewright.devices._onboard.release import Release
    from edgewright.system.untrusted import strict_json

    artifacts = {entry["path"] for entry in strict_json(manifest, MANIFEST)["artifacts"]}
    parts = [part.path for part in Release.read(manifest, b"").parts]
    return [path for path in parts if path not in artifacts and path.removesuffix(".data") not in artifacts]
