"""A device behind the Android Debug Bridge: the system's adb, by USB or TCP.

The device's shell gets one line, quoted; its last act is to say the exit code on standard error, so that a failure of
the bridge is never taken for the program's own. Whatever a login prints before does no harm.
"""

from __future__ import annotations

import math
import re
import shlex
import subprocess
from typing import IO, TYPE_CHECKING

from edgewright.contracts.transport import Completed
from edgewright.devices._native.talking import Talking
from edgewright.devices._ways.programs import find_program, last_line, run_program
from edgewright.errors import ConnectionLost, DeviceError, UsageError
from edgewright.system.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Adb"]

_ASK_S = 30.0
"""A choice: a starting adb server and a phone that wakes up take seconds."""
_COPY_S, _COPY_S_PER_MB = 60.0, 5.0
"""A choice: for starting and hashing, and 0.2 MB/s, the slowest USB or radio that one would use."""
_GRACE_S = 5
"""The device's own limit comes after ours, which says it better; it is for what outlives the bridge."""
_TRIES = 3
"""A choice: a bridge that broke once is often up again; one that broke three times is not."""
_CANNOT_START = (126, 127)
"""POSIX's shell (2.8.2): found but not executable, not found."""
_SHARED = ("/sdcard", "/storage", "/mnt/sdcard", "/mnt/media_rw", "/data/media")
_HOME = "/data/local/tmp"
_ENTER = f"cd {_HOME} 2>/dev/null && export HOME={_HOME} || cd; "
"""Where an Android device lets its shell user keep files that may execute; elsewhere a login has a home directory."""

_AT = "edgewright-home:"
_END = "edgewright-exit:"
_SUM = "edgewright-sum:"
_HINTS = {
    "offline": "plug it in again or restart it, then run: adb reconnect offline",
    "unauthorized": "unlock its screen and allow debugging from this computer",
    "no permissions": "this user may not open its USB port; see the udev rules of Android's platform tools",
}


class Adb(Talking):
    """The transport `adb://SERIAL` or `adb://HOST:PORT`; `adb://any` is the only device there is.

    The first step looks for the device, and connects to it where it is a HOST:PORT.
    """

    may_lack_python = True

    def __init__(self, serial: str = "") -> None:
        """Name a device; none is the only one. Raises UsageError: no serial number; DeviceError: no adb here."""
        if serial.startswith("-") or not serial.isprintable():
            raise UsageError(f"{serial!r} is no serial number of a device", hint="adb devices lists them")
        self._adb = find_program("adb", "on Debian or Ubuntu run: apt install adb; or Android's platform tools")
        self._serial, self._found = serial, ""

    @classmethod
    def at(cls, rest: str) -> Adb:
        """The device with the serial number that the URL names, or any."""
        return cls("" if rest == "any" else rest)

    def _device(self) -> str:
        """The serial number of the device, found once.

        Raises:
            DeviceError: it is not there, is offline or does not trust this computer, or several are and none is named.
        """
        if not self._found:
            self._ask(["start-server"])
            self._found = self._ready()
        return self._found

    def _ask(self, argv: Sequence[str], timeout_s: float = _ASK_S) -> Completed:
        return run_program([self._adb, *argv], timeout_s=timeout_s)

    def _ready(self) -> str:
        """The serial number of the device, which is there and may be used. Raises DeviceError."""
        said = b""
        if re.fullmatch(r"\S+:\d+", self._serial) and self._states().get(self._serial) != "device":
            self._ask(["disconnect", self._serial])
            said = self._ask(["connect", self._serial]).stdout
        states = self._states()
        if not self._serial and len(states) > 1:
            raise DeviceError(f"adb sees {len(states)} devices", hint=f"name one: {_urls(states)}")
        serial = self._serial or next(iter(states), "")
        if serial not in states:
            what = f"adb sees no device {serial}".rstrip()
            words = said.decode(errors="replace").strip()
            hint = f"it sees {_urls(states)}" if states else "plug it in, with USB debugging on in its settings"
            raise DeviceError(f"{what}: {words}" if words else what, hint=hint)
        state = states[serial]
        if state != "device":
            hint = next((hint for name, hint in _HINTS.items() if state.startswith(name)), "adb devices tells more")
            raise DeviceError(f"device {serial} is {state}", hint=hint)
        return serial

    def _states(self) -> dict[str, str]:
        """The state of each device by its serial number, as `adb devices` lists them."""
        done = self._ask(["devices"])
        _, found, lines = done.stdout.decode(errors="replace").partition("List of devices attached")
        if done.exit_code != 0 or not found:
            raise DeviceError(f"adb cannot list devices: {last_line(done)}", hint="run: adb kill-server")
        rows = (re.fullmatch(r"(.+?)(?:\t\s*|\s+(?=\S+$))(.+)", line.strip()) for line in lines.splitlines())
        return {row[1]: row[2] for row in rows if row}

    def _run(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> Completed:
        done = self._shell(_limited(argv, timeout_s), timeout_s, stdin, argv[0])
        if done.exit_code in _CANNOT_START and self._shell(_lacks(argv[0]), _ASK_S).exit_code == 0:
            raise DeviceError(f"the device has no program {argv[0]}")
        return done

    def _shell(self, line: str, timeout_s: float, stdin: bytes = b"", name: str = "") -> Completed:
        """What a line of shell did on the device. Raises ConnectionLost where the way broke before it ended."""
        whole = f"{_ENTER}{line}; echo {_END}$? >&2"
        device = self._device()
        bridge = [self._adb, "-s", device, "shell", "-T", whole]
        done = run_program(bridge, timeout_s=timeout_s, stdin=stdin, name=name)
        said, mark, code = done.stderr.rpartition(_END.encode())
        if not mark or not code.strip().isdigit():
            self._ready()
            hint = "it may still run there; look at its cable, then try again"
            raise ConnectionLost(f"the connection to device {device} broke: {last_line(done)}", hint=hint)
        return Completed(int(code), done.stdout, said)

    def talk(self, argv: Sequence[str], *, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program on the device, see `Talking.talk`."""
        self._device()
        line = [self._adb, "-s", self._ready(), "shell", "-T", f"{_ENTER}exec {shlex.join(argv)}"]  # again, if it left
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)

    def _push(self, here: Path, there: str) -> None:
        path = self._placed(there)
        wanted = (here.stat().st_size, sha256(here))
        self._copy(["push", str(here.resolve()), path], wanted[0], lambda: self._sum(path) == wanted, path)

    def _pull(self, there: str, here: Path) -> None:
        path = self._placed(there)
        size, digest = self._sum(path)
        if size < 0:
            raise DeviceError(f"the device has no file {path}")
        argv = ["pull", path, str(here.resolve())]
        self._copy(argv, size, lambda: (here.stat().st_size, sha256(here)) == (size, digest), here.name)

    def _copy(self, argv: Sequence[str], size_bytes: int, whole: Callable[[], bool], name: str) -> None:
        """Copy until size and SHA-256 are right; a copy can be done again without harm."""
        words = ""
        for _ in range(_TRIES):
            timeout_s = _COPY_S + _COPY_S_PER_MB * size_bytes / 1e6
            done = self._ask(["-s", self._device(), *argv], timeout_s)
            if done.exit_code == 0 and whole():
                return
            words = last_line(done) if done.exit_code else f"{name} is not what was sent"
            self._ready()
        hint = "is there space left, and may the device's shell write there?"
        raise DeviceError(f"adb cannot {argv[0]} {name}, {_TRIES} times: {words}", hint=hint)

    def _sum(self, path: str) -> tuple[int, str]:
        """Size and SHA-256 of a file on the device; a size of -1 where there is none."""
        file = shlex.quote(path)
        line = f"[ -f {file} ] && echo {_SUM}$(wc -c < {file}):$(sha256sum < {file})"
        done = self._shell(line, _COPY_S)
        found = re.search(rf"{_SUM}\s*(\d+):([0-9a-f]{{64}})".encode(), done.stdout)
        if found is None and done.exit_code == 0:
            raise DeviceError(f"the device cannot hash {path}: {last_line(done)}", hint="it needs wc and sha256sum")
        return (int(found[1]), found[2].decode()) if found else (-1, "")

    def _placed(self, there: str) -> str:
        """An absolute path as it is, another one below the home directory. Raises DeviceError for shared storage."""
        if any(f"{there}/".startswith(f"{place}/") for place in _SHARED):
            what = f"{there} is shared storage, where nothing may execute and links do not exist"
            raise DeviceError(what, hint=f"give a directory below {_HOME}")
        return there if there.startswith("/") else f"{self._home()}/{there}"

    def _home(self) -> str:
        said = self._shell(f"echo {_AT}$(pwd)", _ASK_S).stdout.decode(errors="replace")
        return said.rpartition(_AT)[2].strip().rstrip("/")


def _lacks(program: str) -> str:
    return f"! command -v {shlex.quote(program)} >/dev/null 2>&1"


def _limited(argv: Sequence[str], timeout_s: float) -> str:
    """A line that runs a program, and ends it there where the device can: it would outlive this end of the bridge."""
    limit = f"timeout -s KILL {math.ceil(timeout_s) + _GRACE_S}"
    return f"command -v timeout >/dev/null 2>&1 && limit='{limit}' || limit=; $limit {shlex.join(argv)}"


def _urls(states: dict[str, str]) -> str:
    return ", ".join(f"adb://{serial}{'' if state == 'device' else f' ({state})'}" for serial, state in states.items())
