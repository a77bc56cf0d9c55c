"""Children that are born with their libraries: one process imports what takes seconds, and forks whoever needs it.

A fork is safe here because that process does nothing but import: no product was computed in it, so that no pool of
threads is lost on the way. It imports what a child needs that none before it did, has one at a time, and goes with its
parent or after a minute without work; a keeper (`edgewright.system.keeper`) sees to that while it imports, too.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from typing import TYPE_CHECKING, Any

from edgewright.system.interpreter import here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ORDERED", "Forked", "close", "fork", "warm"]

_IDLE_S = 60.0
"""A choice: between two children of one build it is used again; behind it, the memory that it holds is given back."""
_END_S = 5.0
"""A choice: twice what the keeper takes at most."""
_MESSAGE = 1 << 20
"""More than such a socket takes at once (wmem_default, 212,992 bytes on Linux), so that nothing is cut off."""
_CHILD_SIDE, _KEEPER = "edgewright.system.child_side", "edgewright.system.keeper"
"""Imported by their names, in the process that forks alone: whoever asks for children has no use for them."""
_PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""How threads of torch wait for each other (OpenMP 5.2, 21.7). Awake, as libgomp has it, they take the cores from those
that they wait for where a machine has other work: a small decoder wrote what its gate asks in 0.5 s instead of 8."""
ORDERED = {"PYTHONHASHSEED": "0"}
"""In which order sets of names are gone through. By Python's own, which is chance, four builds of one ALBERT gave three
different files: ExecuTorch numbers the values of a delegate as it meets them. A seed of the user's own is kept."""
_READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "TORCH", "PYTORCH_", "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "LD_", "CUDA_")
"""How the names begin of variables that libraries read once: where they are others, another process has to import."""


def warm(modules: Sequence[str]) -> None:
    """Begin to import modules for children that will soon be asked for."""
    if modules and sys.platform == "linux" and _busy.acquire(blocking=False):
        try:
            _fork_server(modules, os.environ)
        finally:
            _busy.release()


def fork(
    modules: Sequence[str],
    target: str,
    environment: Mapping[str, str],
    files: Sequence[int],
    within_s: float | None = None,
) -> Forked | None:
    """A child that has `modules` and runs `target`, see `edgewright.system.child_side`.

    Gives None where a fresh interpreter has to do: on other systems than Linux, for no modules, while another thread
    has a child, or where the modules cannot be imported.

    Args:
        modules: what it needs and takes long to import.
        target: `package.module:function`.
        environment: all variables of the child.
        files: the descriptors of its standard input, its log and its answers.
        within_s: how long its modules may take to be imported.

    Raises:
        TimeoutError: they took longer.
    """
    if not modules or sys.platform != "linux" or not _busy.acquire(blocking=False):
        return None
    child = None
    try:
        for _ in range(2):  # one that waited for its minute may be gone
            child = child or _fork_server(modules, environment).fork(modules, target, environment, files, within_s)
    finally:
        if child is None:
            _busy.release()
    return child


class Forked:
    """The child, for the process that asked for it: once it has ended, so has all that it started."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self.pid, self._channel, self._code = pid, channel, -int(signal.SIGKILL)

    def ended(self, within_s: float) -> bool:
        """Whether it ends within that time. One that has keeps its number until `end`."""
        return _readable(self._channel, within_s)

    def end(self) -> int:
        """End it where it runs; the exit code, that of a signal negative."""
        if not self.ended(0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        _readable(self._channel, None)
        with contextlib.suppress(OSError):
            self._code = int(self._channel.recv(_MESSAGE) or self._code)
            self._channel.send(b"reap")
        _busy.release()
        return self._code


class _ForkServer:
    """The process, for its parent."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self.birth = _birth(environment)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            null = subprocess.DEVNULL
            self._process = subprocess.Popen(
                here("edgewright.system.preload", str(theirs.fileno()), str(os.getpid()), *modules),
                stdin=null,
                stdout=null,
                stderr=null,
                pass_fds=(theirs.fileno(),),
                env={**_PATIENT, **ORDERED, **environment, "PYTHONUNBUFFERED": "1", **_lasting()},
                start_new_session=True,
            )

    def fork(
        self,
        modules: Sequence[str],
        target: str,
        environment: Mapping[str, str],
        files: Sequence[int],
        within_s: float | None,
    ) -> Forked | None:
        """A child, or None where the process is gone. Raises TimeoutError: it still imports."""
        place = {"environment": dict(environment), "directory": os.getcwd()}  # noqa: PTH109
        asked = {"modules": [*modules], "target": target, **place}
        pid, late = 0, False
        with contextlib.suppress(OSError):
            socket.send_fds(self._channel, [json.dumps(asked).encode()], list(files))
            late = not _readable(self._channel, within_s)
            pid = 0 if late else int(self._channel.recv(_MESSAGE) or 0)
        if late:
            close()
            raise TimeoutError
        if not pid:
            close()
            return None
        return Forked(self._channel, pid)

    def end(self) -> None:
        """End the process, unless another one started it."""
        self._channel.close()
        if self.birth[0] == os.getpid():
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


_busy = threading.Lock()
_kept: list[_ForkServer] = []


def _fork_server(modules: Sequence[str], environment: Mapping[str, str]) -> _ForkServer:
    if _kept and _kept[0].birth != _birth(environment):
        close()
    if not _kept:
        _kept.append(_ForkServer(modules, environment))
    return _kept[0]


def _lasting() -> dict[str, str]:
    """Where temporary files of the process that is kept lie: a child's own directory goes with the child."""
    return {"TMPDIR": tempfile.gettempdir()}


def _birth(environment: Mapping[str, str]) -> tuple[Any, ...]:
    # Every child is told PYTHONUNBUFFERED, and so is the process that forks it: it tells none of them apart
    told = {name: value for name, value in environment.items() if name != "PYTHONUNBUFFERED"}
    read = {name: value for name, value in told.items() if name.startswith(_READ_AT_IMPORT)}
    return os.getpid(), read


@atexit.register
def close() -> None:
    """End the process that is kept, if there is one."""
    while _kept:
        _kept.pop().end()


def _readable(channel: socket.socket, timeout_s: float | None) -> bool:
    return bool(select.select([channel], [], [], timeout_s)[0])


def _serve(channel: socket.socket, modules: Sequence[str]) -> None:
    """The fork server's side: import, then fork whenever that is asked."""
    _import((*modules, _CHILD_SIDE))
    while _readable(channel, _IDLE_S):
        message, files, *_ = socket.recv_fds(channel, _MESSAGE, 3)
        if not message:
            return
        asked = json.loads(message)
        _import(asked.pop("modules"))
        pid = os.fork()
        if not pid:
            _become(channel, files, **asked)
        os.setpgid(pid, pid)
        for file in files:
            os.close(file)
        channel.send(str(pid).encode())
        _attend(channel, pid)


def _import(modules: Sequence[str]) -> None:
    missing = [name for name in modules if name not in sys.modules]
    if missing:
        gc.disable()  # a fifth of the time of an import goes into looking for garbage that it does not make
        for name in missing:
            importlib.import_module(name)
        gc.enable()
        gc.collect()
        gc.freeze()  # what is never collected is not copied either


def _become(
    channel: socket.socket, files: Sequence[int], target: str, environment: dict[str, str], directory: str
) -> None:
    """The child's side, which ends here."""
    code = 1
    try:
        channel.close()
        for file, standard in ((files[0], 0), (files[1], 1), (files[1], 2)):
            os.dup2(file, standard)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # what was imported here may have looked where it is
        os.chdir(directory)
        sys.argv = [_CHILD_SIDE, target, str(files[2])]
        importlib.import_module(_CHILD_SIDE).work(target, files[2])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - an interpreter that ends prints it too
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _attend(channel: socket.socket, pid: int) -> None:
    """Wait for the child's end and tell it; end the child, and what it started, then and when the parent is gone."""
    child = os.pidfd_open(pid)
    ready, _, _ = select.select([child, channel.fileno()], [], [])
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) if child in ready else None
    os.killpg(pid, signal.SIGKILL)
    importlib.import_module(_KEEPER).end_all(os.getpid())
    if ended:
        channel.send(str(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status).encode())
        channel.recv(_MESSAGE)
    with contextlib.suppress(ChildProcessError):  # waited for with the others
        os.waitpid(pid, 0)
    os.close(child)


if __name__ == "__main__":
    keeper = importlib.import_module(_KEEPER)
    keeper.keep(int(sys.argv[2]))
    keeper.adopt()
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[3:])
