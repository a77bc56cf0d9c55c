"""Dangerous work in a child process: exporters and engine parsers crash, hang and leak, and none of it may come out.

A `Child` names the place of a function, what it takes and what it gives; `call(child, request)` runs it in a process of
its own: a fresh interpreter, or a fork of one that has done nothing but import. The request goes in as JSON on standard
input; progress, the answer or an error come back as JSON lines on a pipe of their own; what the function prints goes to
a log, whose last line is quoted when the child dies without a word. `child_side.py` is the other end.

    COUNT = Child("edgewright.text.words:count", CountRequest, CountAnswer)

    def count(request: CountRequest, progress: Callable[[str], None]) -> CountAnswer: ...
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from edgewright.errors import ChildFailed, from_record, quoted
from edgewright.system.files import scratch
from edgewright.system.interpreter import here
from edgewright.system.preload import ORDERED, fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgewright.system.preload import Forked

__all__ = ["Asked", "Child", "Given", "Limits", "call", "death"]

_POLL_S = 0.05
"""A choice: how often the limits are looked at; 20 looks a second cost nothing."""
_LOOK_S, _LOOK_TIMES = 0.1, 50
"""A choice: how often the memory of all that a child started is added up, and that it takes 2 % of a core at most."""
_END_S = 5.0
"""A choice: twice what the keeper takes at most."""
_MOST_LINE_BYTES = 2**26
"""A choice: answers are names and numbers, arrays go by files; a child that writes without end fills no memory."""

Asked = TypeVar("Asked")
Given = TypeVar("Given")


@dataclass(frozen=True)
class Child(Generic[Asked, Given]):
    """A function that runs in a process of its own: `function(request, progress) -> answer`.

    Attributes:
        target: its place, `package.module:function`.
        request: the struct that it takes. Paths may stand in it; arrays go by files (`edgewright.system.arrays`).
        answer: the struct that it gives, without paths, or `type(None)`.
    """

    target: str
    request: type[Asked]
    answer: type[Given]

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.target.rpartition(":")[2]

    def asked(self, request: Asked) -> bytes:
        """A request for the child, with the place of its struct.

        By Python's JSON: the name of a file need not be UTF-8, and a number not finite; msgspec's has neither.
        """
        kind = f"{self.request.__module__}:{self.request.__qualname__}"
        return json.dumps({"kind": kind, "request": msgspec.to_builtins(request, enc_hook=os.fspath)}).encode()

    def given(self, result: Any) -> Given:
        """The answer, as it came over the pipe."""
        return msgspec.convert(result, self.answer)


@dataclass(frozen=True)
class Limits:
    """What a child may take: resident memory and time."""

    memory_mib: int = 8192
    timeout_s: float = 1800.0


@dataclass
class _Answer:
    """What has come over the pipe so far."""

    result: Any = None
    error: dict[str, str] | None = None
    done: bool = False
    garbage: str = ""
    progress: Callable[[str], None] = field(default=lambda _: None)

    def read(self, pipe: IO[str]) -> None:
        with pipe:
            while line := pipe.readline(_MOST_LINE_BYTES):
                if not line.endswith("\n"):  # a child that dies in the middle of a word has not said it
                    continue
                try:
                    self.take(json.loads(line))
                except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
                    self.garbage = self.garbage or line

    def take(self, message: dict[str, Any]) -> None:
        if "progress" in message:
            self.progress(message["progress"])
        else:
            self.done, self.result, self.error = True, message.get("result"), message.get("error")


def call(
    child: Child[Asked, Given],
    request: Asked,
    *,
    preload: Sequence[str] = (),
    limits: Limits = Limits(),
    log: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
    env: dict[str, str] | None = None,
) -> Given:
    """Ask a function in a child process, and give its answer.

    Args:
        child: which function.
        request: what it is asked.
        preload: modules that the function needs and that take long to import: they are imported once for many calls.
        limits: resident memory and time, beyond which the child is killed.
        log: where the child's standard output and error go; by default a temporary file.
        progress: called with each phrase that the child reports.
        env: variables set for the child on top of this process's own.

    Raises:
        EdgewrightError: the one that the function raised.
        ChildFailed: it crashed, was killed, or went over a limit.
    """
    with scratch() as place:
        answer, path = _Answer(progress=progress), log or place / "log"
        # what a library puts among temporary files and a kill keeps it from removing goes with the directory
        own = {"PYTHONUNBUFFERED": "1", "TMPDIR": str(place), **(env or {})}
        with path.open("ab") as sink:
            start = _Start(child.target, tuple(preload), {**os.environ, **own})
            code, verdict = _supervise(start, child.asked(request), answer, limits, sink)
        if answer.error:
            raise from_record(answer.error)
        if verdict or not answer.done:
            words = verdict or (f"answered {quoted(answer.garbage)}" if answer.garbage else death(code))
            raise ChildFailed(f"{child.name} {words}", hint=_last_words(path, kept=log is not None))
    return child.given(answer.result)


@dataclass(frozen=True)
class _Start:
    """How a child is started."""

    target: str
    preload: tuple[str, ...]
    environment: Mapping[str, str]

    def child(self, stdin: int, log: int, answers: int, within_s: float) -> _Fresh | Forked:
        """A child with these descriptors. Raises TimeoutError: its modules are still being imported."""
        forked = fork(self.preload, self.target, self.environment, (stdin, log, answers), within_s)
        return forked or _Fresh(self.target, self.environment, stdin, log, answers)


class _Fresh:
    """A child that is an interpreter of its own, below a keeper: once it has ended, so has all that it started."""

    def __init__(self, target: str, environment: Mapping[str, str], stdin: int, log: int, answers: int) -> None:
        argv = here("edgewright.system.child_side", target, str(answers), str(os.getpid()))
        self._process = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=log,
            stderr=log,
            pass_fds=(answers,),
            env={**ORDERED, **environment},
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid) if sys.platform == "linux" else None

    def ended(self, within_s: float) -> bool:
        """Whether it ends within that time. One that has keeps its number until `end`."""
        if self._pidfd is None:
            time.sleep(within_s)
        else:
            select.select([self._pidfd], [], [], within_s)
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> int:
        """End it where it runs; the exit code, that of a signal negative."""
        if not self.ended(0):
            os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        if self._pidfd is not None:
            os.close(self._pidfd)
        return self._process.wait()


def _supervise(start: _Start, asked: bytes, answer: _Answer, limits: Limits, sink: IO[bytes]) -> tuple[int, str]:
    """Start the child, wait for it under its limits, and give its exit code and the reason if it was killed for one."""
    reader, writer = os.pipe()
    end_s = time.monotonic() + limits.timeout_s
    with tempfile.TemporaryFile() as stdin, _closing(writer):
        stdin.write(asked)
        stdin.seek(0)
        try:
            child = start.child(stdin.fileno(), sink.fileno(), writer, limits.timeout_s)
        except TimeoutError:
            os.close(reader)
            return -int(signal.SIGKILL), _late(limits)
    pipe = os.fdopen(reader, encoding="utf-8", errors="replace")
    listener = threading.Thread(target=answer.read, args=(pipe,), daemon=True)
    listener.start()
    try:
        verdict = _watch(child, limits, end_s)
    finally:
        code = child.end()
    listener.join(timeout=5)
    return code, verdict


@contextlib.contextmanager
def _closing(number: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(number)


def _late(limits: Limits) -> str:
    return f"took longer than its limit of {limits.timeout_s:g} s"


def _watch(child: _Fresh | Forked, limits: Limits, end_s: float) -> str:
    from edgewright.system.keeper import descendants, resident_mib

    look, wait_s = 0.0, 0.0
    while not child.ended(wait_s):
        wait_s, now = _POLL_S, time.monotonic()
        if now >= look:
            used = resident_mib([child.pid, *descendants(child.pid)], limits.memory_mib)
            if used > limits.memory_mib:
                return f"took {used} MiB of memory, its limit is {limits.memory_mib} MiB"
            look = time.monotonic() + max(_LOOK_S, _LOOK_TIMES * (time.monotonic() - now))
        if now > end_s:
            return _late(limits)
    return ""


def death(code: int) -> str:
    """How a process ended, by its exit code: a negative one is a signal."""
    if code == -signal.SIGKILL:
        return "was killed, most likely because the machine ran out of memory"
    name = next((one.name for one in signal.Signals if one == -code), f"signal {-code}")
    return f"died of {name}" if code < 0 else f"ended with exit code {code} and no answer"


def _last_words(log: Path, *, kept: bool) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    words = f"its last words: {lines[-1].strip()}" if lines else "it printed nothing"
    return f"{words}; log: {log}" if kept else words
