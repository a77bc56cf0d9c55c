"""A device without Python, but for its disk: what a flash asks of a board is found out from here."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgewright.bundle.sshsig import NAMESPACE, Signers, who_signed
from edgewright.contracts.board_commands import Engines, Verify
from edgewright.devices._onboard.checks import usable
from edgewright.devices._onboard.files import get, put, remove
from edgewright.devices._onboard.machine import Machine, Manager, Ran
from edgewright.devices._onboard.release import MANIFEST, SIGNATURE
from edgewright.errors import BundleError, ConnectionLost, DeviceError, EdgewrightError, one_line
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES
from edgewright.system.vitals import Here, machine_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.contracts.board_commands import Command
    from edgewright.devices._native.disk import NativeDisk
    from edgewright.devices._native.placing import Programs
    from edgewright.devices._native.talking import Talking
    from edgewright.devices._onboard.board import Board
    from edgewright.devices._onboard.commands import Place
    from edgewright.proof.verify import Replay

__all__ = ["NativeMachine", "Runner"]

_MAX_FACTS_BYTES = 2**20
"""A choice: /proc/cpuinfo of 256 cores is well below."""
_MAX_FILE_BYTES = 2**28
"""A choice: the largest tokenizer.json, of 256,000 words, has some 30 MB; artifacts are not fetched."""
_PROBE_S = 60.0
"""A choice, as for the runner's hello: a phone that dozes answers within it."""
_INT8 = ("avx2", "avx512_vnni", "avx_vnni", "asimddp", "i8mm", "sve")


class Runner(Protocol):
    """What is needed of the device: see `edgewright.devices._native.board`."""

    way: Talking
    root: str
    programs: Programs

    def path(self, digest: str) -> str: ...

    def starts(self, folder: str) -> object: ...


class NativeMachine(Machine, Here):
    """The machine behind a runner."""

    def __init__(self, runner: Runner, disk: NativeDisk) -> None:
        self._runner, self._disk = runner, disk

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Run a program."""
        done = self._runner.way.run(argv, timeout_s=timeout_s)
        return Ran(done.exit_code, done.stdout, done.stderr)

    def check(self, command: Command, place: Place, timeout_s: float) -> Ran:
        """As `Machine.check`; what needs a Python elsewhere is done with the runner."""
        if isinstance(command, Engines):
            return self._probe(command.formats)
        if isinstance(command, Verify):
            return self._verify(place.bundle, quick=command.quick)
        return super().check(command, place, timeout_s)

    def _probe(self, formats: Sequence[str]) -> Ran:
        """Raise DeviceError where a runner opens none of `formats`, or the engine does not load there."""
        from edgewright.boards.native.release import FORMATS

        if formats and not set(formats) & set(FORMATS):
            hint = "build the bundle with --format tflite"
            raise DeviceError(f"a runner opens {', '.join(FORMATS)}, the bundle has {', '.join(formats)}", hint=hint)
        runner, engine = map(self._runner.path, self._runner.programs)
        if self._disk.sha256(engine) != self._runner.programs.engine:
            hint = "give --runner and --engine again"
            raise DeviceError("the engine on the device is not what was placed there", hint=hint)
        done = self._runner.way.run([runner, "probe", engine], timeout_s=_PROBE_S)
        if done.exit_code != 0:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            words = lines[-1].removeprefix("edgewright-run: ") if lines else f"exit code {done.exit_code}"
            hint = "is this libLiteRt.so for the device, of a release from 2.1.3 to 2.3?"
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
        from edgewright.boards.native.release import NativeBundle
        from edgewright.bundle.bundle import Bundle
        from edgewright.bundle.manifest import Manifest, decode

        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            self.fetch(folder, Path(scratch))
            manifest = decode(Path(scratch, MANIFEST).read_bytes(), Manifest, MANIFEST)
            start: Any = self._runner.starts(folder)
            return NativeBundle(Bundle(Path(scratch), manifest), start).verify(quick=quick)

    def fetch(self, folder: str, into: Path) -> None:
        """Bring a release here, but for its artifacts. Raises OSError, BundleError and DeviceError."""
        data = get(self._disk, f"{folder}/{MANIFEST}", MAX_JSON_BYTES)
        (into / MANIFEST).write_bytes(data)
        for name in _others(data):
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(get(self._disk, f"{folder}/{name}", _MAX_FILE_BYTES))
        if self._disk.stat(f"{folder}/{SIGNATURE}"):
            (into / SIGNATURE).write_bytes(get(self._disk, f"{folder}/{SIGNATURE}", MAX_SIGNATURE_BYTES))

    def adopt(self, board: Board) -> None:
        """Let the given runner and engine be those in use, once the active release passes its golden cases with them.

        Raises:
            GateFailed: it does not; nothing changes.
        """
        own, disk, folder = self._runner, self._disk, f"{self._runner.root}/native"
        with board.locked() as state:
            if state.active and usable(board.store, state.active):
                with suppress(BundleError):  # of one that is not for a runner, nothing gets worse
                    self.replays(board.store.release_dir(state.active))
            for digest in own.programs:
                if disk.sha256(own.path(digest), sync=True) != digest:
                    raise DeviceError(f"{own.path(digest)} is not what was placed there", hint="try again")
            disk.sync_dir(folder)
            put(disk, f"{folder}/chosen", f"{own.programs.runner} {own.programs.engine}\n".encode())
            for name in disk.list(folder):
                if name not in (*own.programs, "chosen"):
                    remove(disk, f"{folder}/{name}")

    def ram_bytes(self) -> int:
        lines = (self.text("/proc/meminfo") or "").splitlines()
        found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "")
        return int(found) * 1024 if found.isdigit() else -1

    def facts(self) -> dict[str, Any]:
        """What `edgewright.system.vitals.machine_state` tells, and of the rest what a kernel's files do."""
        return {**self.described(), **machine_state(self)}

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
        system = self._runner.way.run(["uname", "-srm"], timeout_s=_PROBE_S).stdout.decode(errors="replace")
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
        said = self._runner.way.run(["sh", "-c", f"{{ {line}; }} 2>/dev/null"], timeout_s=_PROBE_S)
        product = one_line(said.stdout.decode(errors="replace"), 200)
        found = re.search(r"^model name\s*:\s*(.+)$", cpu, re.MULTILINE)
        board = (self.text("/proc/device-tree/model") or "").rstrip("\0")
        return product or one_line(board, 200) or (one_line(found[1], 200) if found else "unknown")

    def who_signed(self, data: bytes, signatures: bytes, signers: Signers, namespace: str = NAMESPACE) -> str:
        """As `edgewright.bundle.sshsig.who_signed`, by this machine's ssh-keygen."""
        return who_signed(data, signatures, signers, namespace)


def _others(manifest: bytes) -> list[str]:
    """The files of a manifest that are no artifacts, nor weights beside them; their names checked."""
    from edgewright.devices._onboard.release import Release
    from edgewright.system.untrusted import strict_json

    artifacts = {entry["path"] for entry in strict_json(manifest, MANIFEST)["artifacts"]}
    parts = [part.path for part in Release.read(manifest, b"").parts]
    return [path for path in parts if path not in artifacts and path.removesuffix(".data") not in artifacts]
