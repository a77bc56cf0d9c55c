"""A runner on a device, spoken to: requests go in, answers come back, and both are held to a time and a size.

The frames are those that `devices/run.c` describes.
"""

from __future__ import annotations

import math
import signal
import struct
import tempfile
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from edgewright.errors import ConnectionLost, DeviceError, EdgewrightError, EngineError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import Popen

__all__ = ["Said", "Talk", "number"]

_HELLO = b"edgewright-run 1\n"
_MOST_BANNER_BYTES = 2**16
"""A choice: what a login prints is a screen or two."""
_MOST_BYTES = 2**26
"""MOST_BYTES of run_frames.h: the runner sends no more."""
_WORDS = "edgewright-run: "
_CANNOT_START = (126, 127)
"""A shell's word for what may not be executed, or is not there (POSIX, Shell Command Language, 2.8.2)."""
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""As subprocess tells it, and as a shell does."""
_GRACE_S, _BEAT_S = 5.0, 0.2
"""Choices: a runner that reads the end of its input is gone at once; limits are of a minute and more."""


class Said(NamedTuple):
    """An answer: 0 or an errno, and its fields."""

    status: int
    fields: list[bytes]


def number(value: int) -> bytes:
    """A whole number as a field."""
    return struct.pack("<Q", value)


class Talk:
    """A runner that was started; `start` is given a file for its standard error, `timeout_s` is for its hello."""

    def __init__(self, start: Callable[[IO[bytes]], Popen[bytes]], *, timeout_s: float) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the runner
        self._child, self.over, self._until_s = start(self._said), False, math.inf
        self._why: EdgewrightError = ConnectionLost("the runner on the device has ended", hint="run it again")
        threading.Thread(target=self._watch, daemon=True).start()
        self._timed(timeout_s, self._hello)

    def ask(self, letter: bytes, *fields: bytes, timeout_s: float = 60.0) -> Said:
        """The answer to a request.

        Raises:
            EngineError: the engine there failed, or ended the runner.
            ConnectionLost: the way broke.
            DeviceError: it took longer than `timeout_s`, or what came is no answer.
        """
        if self.over:
            raise type(self._why)(self._why.message, hint=self._why.hint)
        body = letter + b"".join(struct.pack("<I", len(field)) + field for field in fields)
        said = self._timed(timeout_s, lambda: self._asked(struct.pack("<I", len(body)) + body))
        if said.status == -1:
            raise EngineError(one_line(b" ".join(said.fields).decode(errors="replace"), 300))
        return said

    def close(self) -> None:
        """End it: it reads the end of its input, or is killed."""
        self.over = True
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        try:
            self._child.wait(_GRACE_S)
        except Exception:  # noqa: BLE001 - whatever it is, it shall not stay
            self._child.kill()
            self._child.wait()
        self._said.close()

    def _timed(self, timeout_s: float, work: Callable[[], Said]) -> Said:
        """Do some work; a runner that is silent for too long is killed, which wakes whoever waits for it."""
        self._until_s = time.monotonic() + timeout_s
        try:
            return work()
        except (OSError, EOFError, ValueError) as error:
            late = time.monotonic() > self._until_s
            words = f"the runner took longer than {timeout_s:g} s and was ended"
            self._why = DeviceError(words) if late else self._problem()
            self.close()
            raise self._why from error
        except BaseException:
            self.close()
            raise
        finally:
            self._until_s = math.inf

    def _watch(self) -> None:
        while not self.over:
            time.sleep(_BEAT_S)
            if time.monotonic() > self._until_s:
                self._child.kill()

    def _hello(self) -> Said:
        """Read over whatever a login prints."""
        banner = b""
        while not banner.endswith(b"\n" + _HELLO):
            banner += self._read(1)
            if len(banner) > _MOST_BANNER_BYTES:
                raise DeviceError(f"the device printed {_MOST_BANNER_BYTES} bytes and no hello of a runner")
        return Said(0, [])

    def _asked(self, frame: bytes) -> Said:
        if self._child.stdin is None:
            raise EOFError
        self._child.stdin.write(frame)
        self._child.stdin.flush()
        (size,) = struct.unpack("<I", self._read(4))
        if not 4 <= size <= _MOST_BYTES:
            raise DeviceError(f"the runner's answer has {size} bytes, 4 to {_MOST_BYTES} can be")
        return _unpacked(self._read(size))

    def _read(self, size: int) -> bytes:
        found = self._child.stdout.read(size) if self._child.stdout else b""
        if len(found) < size:
            raise EOFError
        return found

    def _problem(self) -> EdgewrightError:
        """Why it ended."""
        with suppress(Exception):
            self._child.wait(_GRACE_S)
        code = self._child.poll()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        said = [line[len(_WORDS) :] for line in lines if line.startswith(_WORDS)]
        last = next((one_line(line, 200) for line in reversed(lines) if line.strip()), "not a word")
        if said:
            return EngineError(one_line(said[-1], 300))
        if code in _CANNOT_START:
            hint = "is it compiled for this device, and may its directory execute?"
            return DeviceError(f"the device cannot run the runner: {last}", hint=hint)
        died = -code if code and code < 0 else (code or 0) - 128
        if code not in _KILLED and died in {int(s) for s in signal.Signals}:
            return EngineError(f"the runner died of {signal.Signals(died).name}: {last}")
        return ConnectionLost(f"the connection to the runner broke: {last}", hint="look at the device, then try again")


def _unpacked(body: bytes) -> Said:
    (status,), fields, at = struct.unpack_from("<i", body), [], 4
    while at < len(body):
        (size,) = struct.unpack_from("<I", body, at) if len(body) - at >= 4 else (len(body),)
        at += 4
        if size > len(body) - at:
            raise DeviceError("the runner's answer is torn", hint="try again")
        fields.append(body[at : at + size])
        at += size
    return Said(status, fields)
