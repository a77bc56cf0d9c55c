"""What a device without Python is given first: a runner and an engine, by their hashes, with nothing there but a shell.

The shell's lines are POSIX, and use of the programs only what Android's toybox has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgewright.errors import DeviceError, UsageError, one_line
from edgewright.system.files import sha256

if TYPE_CHECKING:
    from edgewright.contracts.transport import Transport

__all__ = ["Found", "Programs", "look", "place"]

_ASK_S = 60.0
"""A choice, as for the runner's hello: it hashes an engine of some MB, on a phone that dozes."""
_LOOK = """\
r=$1
case $r in '') r=${XDG_DATA_HOME:-$HOME/.local/share}/edgewright;; '~') r=$HOME;; '~/'*) r=$HOME/${r#??};; esac
p=$r; e=
while [ ! -d "$p" ]; do e=/${p##*/}$e; p=${p%/*}; [ -n "$p" ] || p=/; done
p=$(cd "$p" && pwd -P) || exit 1
[ "$p" = / ] && p=
echo "edgewright-root:$p$e"
command -v python3 >/dev/null 2>&1 && echo edgewright-python:yes
n=$p$e/native
[ -f "$n/chosen" ] && read -r a b <"$n/chosen" && h=$(sha256sum <"$n/$a") && echo "edgewright-native:$a:$b:${h%% *}"
exit 0
"""
_MAKE = """\
ours='blobs|releases|incoming|native|keys|env|lock|current|state.json|journal.jsonl'
strange=$(ls -A "$1" 2>/dev/null | grep -vxE "($ours)([.]new)?")
[ -n "$strange" ] && [ ! -e "$1/state.json" ] && exit 9
umask 022 && mkdir -p "$1" && umask 077 && mkdir -p "$1/native" && chmod 700 "$1/native"
"""
_HAS = '[ -f "$1" ] && h=$(sha256sum <"$1") && [ "${h%% *}" = "$2" ]'
_TAKE = 'h=$(sha256sum <"$1") && [ "${h%% *}" = "$3" ] && chmod 700 "$1" && mv -f "$1" "$2"'
_STRANGE = 9
"""What `_MAKE` exits with."""


class Programs(NamedTuple):
    """A runner and an engine, by their SHA-256."""

    runner: str
    engine: str


class Found(NamedTuple):
    """What a device has: where its releases are, whether a Python, and which runner is in use, whole or not."""

    root: str
    python: bool
    programs: Programs | None
    whole: bool


def look(way: Transport, root: str) -> Found:
    """Look at a device; nothing changes. Raises UsageError: the root is no absolute path; DeviceError."""
    if root and (root[0] not in "/~" or not root.isprintable()):
        hint = "begin it with / or ~, and leave out control characters"
        raise UsageError(f"root {root!r} is no absolute path", hint=hint)
    said = way.run(["sh", "-c", _LOOK, "sh", root.rstrip("/")], timeout_s=_ASK_S)
    lines = said.stdout.decode(errors="replace")
    found = re.search(r"^edgewright-root:(/[^\r\n]+)", lines, re.MULTILINE)
    if said.exit_code != 0 or found is None:
        words = one_line(said.stderr.decode(errors="replace"), 200) or "not a word"
        raise DeviceError(f"the device's shell does not look at {root or 'its home'}: {words}")
    chosen = re.search(r"^edgewright-native:([0-9a-f]{64}):([0-9a-f]{64}):([0-9a-f]{64})", lines, re.MULTILINE)
    programs = Programs(chosen[1], chosen[2]) if chosen else None
    whole = bool(chosen and chosen[1] == chosen[3])
    return Found(found[1], "edgewright-python:yes" in lines, programs, whole)


def place(way: Transport, found: Found, runner: str, engine: str) -> Programs:
    """Bring a runner and an engine to the device, if they are not there; one that is not given is the one in use.

    Raises:
        UsageError: one is missing, and none is in use there.
        DeviceError: the root is of another purpose, or a file did not arrive as it is.
    """
    if not (runner and engine) and found.programs is None:
        have, lack = ("--engine", "--runner") if engine else ("--runner", "--engine")
        hint = "edgewright doctor --android says how to get it"
        raise UsageError(f"{have} is given, and the device needs {lack} too", hint=hint)
    made = way.run(["sh", "-c", _MAKE, "sh", found.root], timeout_s=_ASK_S)
    if made.exit_code == _STRANGE:
        raise DeviceError(
            f"{found.root} holds something else, it is no store of releases", hint="choose another --root"
        )
    if made.exit_code != 0:
        words = one_line(made.stderr.decode(errors="replace"), 200)
        raise DeviceError(f"cannot make {found.root}/native: {words}", hint="choose another --root")
    own = found.programs or Programs("", "")
    return Programs(
        _placed(way, found.root, runner) if runner else own.runner,
        _placed(way, found.root, engine) if engine else own.engine,
    )


def _placed(way: Transport, root: str, given: str) -> str:
    path = Path(given)
    if not path.is_file():
        raise UsageError(f"{given} is no file here", hint="edgewright doctor --android says how to get it")
    digest = sha256(path)
    there = f"{root}/native/{digest}"
    if way.run(["sh", "-c", _HAS, "sh", there, digest], timeout_s=_ASK_S).exit_code != 0:
        way.push(path, f"{there}.part")
        done = way.run(["sh", "-c", _TAKE, "sh", f"{there}.part", there, digest], timeout_s=_ASK_S)
        if done.exit_code != 0:
            words = one_line(done.stderr.decode(errors="replace"), 200) or "it has another hash"
            raise DeviceError(f"{path.name} did not arrive whole: {words}", hint="try again")
    return digest
