"""What the children of test_child.py run."""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

from edgewright import errors
from edgewright.system.child import Limits, call

IMPORTED_BY = os.getpid()


def echo(payload, progress):
    del progress
    return payload


def count(payload, progress):
    for number in range(payload["n"]):
        progress(f"step {number}")
    return payload["n"]


def raise_ours(payload, progress):
    del progress
    raise getattr(errors, payload["kind"])("it is bad", hint="mend it")


def raise_other(payload, progress):
    progress("about to fail")
    raise ValueError(payload["words"])


def abort(payload, progress):
    del payload, progress
    print("corrupted size vs. prev_size", flush=True)
    os.abort()


def exit_hard(payload, progress):
    del progress
    os._exit(payload["code"])


def exit_softly(payload, progress):
    del progress
    sys.exit(payload["code"])


def segfault(payload, progress):
    del payload, progress
    ctypes.string_at(0)


def kill_self(payload, progress):
    del payload, progress
    os.kill(os.getpid(), 9)


def eat(payload, progress):
    del progress
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * payload["mib"])
        time.sleep(0.05)


def sleep(payload, progress):
    progress(str(os.getpid()))
    time.sleep(payload["seconds"])


def chatter(payload, progress):
    del progress
    print("to standard output")
    os.write(2, b"to standard error\n")
    return payload["answer"]


def not_json(payload, progress):
    del payload, progress
    return {1, 2}


def grandchild(payload, progress):
    """Start a sleeper; then sleep, return, or die, as `then` says."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(payload["pid_file"]).write_text(str(sleeper.pid))
    progress("started")
    if payload["then"] == "sleep":
        time.sleep(60)
    if payload["then"] == "abort":
        os.abort()


def half_a_word(payload, progress):
    """Die in the middle of a message to the parent."""
    del payload, progress
    os.write(int(sys.argv[2]), b'{"result": [1, 2')
    os._exit(1)


def answer_then_die(payload, progress):
    del payload, progress
    os.write(int(sys.argv[2]), b'{"result": 7}\n')
    os.abort()


def nest(payload, progress):
    """Call a sleeper of one's own."""
    call("child_targets:sleep", {"seconds": 60}, limits=Limits(timeout_s=60), progress=progress, env=payload["env"])


def birth(payload, progress):
    """Who started this child, where it works, and whether this module was imported before it."""
    del payload, progress
    imported = os.getpid() != IMPORTED_BY
    return {"parent": os.getppid(), "imported": imported, "directory": str(Path.cwd())}


def path(payload, progress):
    """Where this child imports from."""
    del payload, progress
    return sys.path


def nap(payload, progress):
    """Say that it runs, and rest a little."""
    del payload
    progress("here")
    time.sleep(3)
    return "rested"
