"""What the children of test_child.py run."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import NoneType
from typing import Any

from msgspec import Struct

from edgewright import errors
from edgewright.system.child import Child, Limits, call

IMPORTED_BY = os.getpid()
LOOKED_AT = tempfile.gettempdir()  # as libraries do while they are imported


class Tree(Struct, frozen=True):
    """Anything that is JSON."""

    tree: Any


class Order(Struct, frozen=True):
    """What most of these functions take a part of."""

    n: int = 0
    seconds: float = 0.0
    words: str = ""
    path: Path = Path()
    env: dict[str, str] = {}


class Birth(Struct, frozen=True):
    parent: int
    above: int
    imported: bool
    directory: str


def child(name, answer=NoneType, request=Order):
    return Child(f"child_targets:{name}", request, answer)


def echo(request, progress):
    del progress
    return Tree(request.tree)


def walk(request, progress):
    """The type of a path in a request, and the path."""
    del progress
    return [isinstance(request.path, Path), os.fsencode(request.path).hex()]


def count(request, progress):
    for number in range(request.n):
        progress(f"step {number}")
    return request.n


def raise_ours(request, progress):
    del progress
    raise getattr(errors, request.words)("it is bad", hint="mend it")


def raise_other(request, progress):
    progress("about to fail")
    raise ValueError(request.words)


def abort(request, progress):
    del request, progress
    print("corrupted size vs. prev_size", flush=True)
    os.abort()


def exit_hard(request, progress):
    del progress
    os._exit(request.n)


def exit_softly(request, progress):
    del progress
    sys.exit(request.n)


def segfault(request, progress):
    del request, progress
    ctypes.string_at(0)


def litter(request, progress):
    """Leave among the temporary files what nobody comes to remove."""
    del request, progress
    tempfile.mkdtemp()
    os.kill(os.getpid(), signal.SIGKILL)


def fill(request, progress):
    """Meet a disk that is full, or another error of one."""
    del progress
    raise OSError(request.n, os.strerror(request.n))


def kill_self(request, progress):
    del request, progress
    os.kill(os.getpid(), 9)


def eat(request, progress):
    del progress
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * request.n)
        time.sleep(0.05)


def sleep(request, progress):
    progress(str(os.getpid()))
    time.sleep(request.seconds)


def chatter(request, progress):
    del progress
    print("to standard output")
    os.write(2, b"to standard error\n")
    return request.n


def not_json(request, progress):
    del request, progress
    return object()


def grandchild(request, progress):
    """Start a sleeper; then sleep, return, or die, as the words say."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    request.path.write_text(str(sleeper.pid))
    progress("started")
    if request.words == "sleep":
        time.sleep(60)
    if request.words == "abort":
        os.abort()


def half_a_word(request, progress):
    """Die in the middle of a message to the parent."""
    del request, progress
    os.write(int(sys.argv[2]), b'{"result": [1, 2')
    os._exit(1)


def answer_then_die(request, progress):
    del request, progress
    os.write(int(sys.argv[2]), b'{"result": 7}\n')
    os.abort()


def nest(request, progress):
    """Call a sleeper of one's own."""
    call(child("sleep"), Order(seconds=60), limits=Limits(timeout_s=60), progress=progress, env=request.env)


def birth(request, progress):
    """Who started this child, where it works, and whether this module was imported before it."""
    del request, progress
    imported = os.getpid() != IMPORTED_BY
    above = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
    return Birth(os.getppid(), above, imported, str(Path.cwd()))


def hashed(request, progress):
    """What a word is in this process to a set."""
    del progress
    return hash(request.words)


def path(request, progress):
    """Where this child imports from."""
    del request, progress
    return sys.path


def nap(request, progress):
    """Say that it runs, and rest a little."""
    del request
    progress("here")
    time.sleep(3)
    return "rested"


def runaway(request, progress):
    """Start a sleeper that leaves the session and whose parent ends, as a daemon does; then as the words say."""
    code = (
        "import os, sys, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()) + '\\n')\ntime.sleep(60)"
    )
    subprocess.run([sys.executable, "-c", code, request.path], check=True)
    while not (request.path.exists() and request.path.read_text().endswith("\n")):
        time.sleep(0.01)
    progress("started")
    if request.words == "sleep":
        time.sleep(60)
    if request.words == "abort":
        os.abort()


def eat_elsewhere(request, progress):
    """Let another process take memory."""
    del request, progress
    subprocess.run(
        [sys.executable, "-c", "import time; held = bytearray(b'x') * (200 << 20); time.sleep(60)"], check=True
    )


def babble(request, progress):
    """Say what is no message, and end."""
    del progress
    os.write(int(sys.argv[2]), request.words.encode("latin-1") + b"\n")
    os._exit(0)
