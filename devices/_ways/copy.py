"""A file copied over a way that only runs programs: what is there already stays, and the whole is hashed there.

The far side needs a POSIX shell with `cat` and `wc`, and `sha256sum` or Python. A copy that was cut goes on behind what
arrived, once that has been found to be the beginning of the file.
"""

from __future__ import annotations

import hashlib
import time
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from edgewright.devices._onboard.disk import PIECE
from edgewright.errors import ConnectionLost, DeviceError, one_line
from edgewright.system.interpreter import DROP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgewright.contracts.transport import Completed

__all__ = ["Far", "patience_s", "pull", "push"]

_PYTHON = (
    f"{DROP}import hashlib; h = hashlib.sha256(); "
    '[h.update(b) for b in iter(lambda: sys.stdin.buffer.read(1 << 20), b"")]; print(h.hexdigest())'
)
_HASH = (
    f"h() {{ if command -v sha256sum >/dev/null; then sha256sum; else PYTHONSAFEPATH=1 python3 -c '{_PYTHON}'; fi; }}; "
)
_LOOK = _HASH + 'if [ -f "$1" ]; then wc -c <"$1" && h <"$1"; else echo 0 -; fi'
_ADD = _HASH + 'cat >>"$1" && wc -c <"$1" && h <"$1"'
_NEW = _HASH + 'cat >"$1" && wc -c <"$1" && h <"$1"'

_TRIES = 3
"""A choice: outlasts a dropped packet or a short break; a way that is gone fails within seconds."""
_PAUSE_S = 0.25
"""Doubled at each try: half a second, then one."""
_SLOWEST_BYTES_S = 20_000
"""A choice: a bad radio link, below which nobody sends a model."""
_PATIENCE_S = 120.0
"""A choice: for connecting, hashing and a busy card, whatever the size."""


class Far(Protocol):
    """Runs a program on the device; `stdin` may be an unbuffered file, read from where it stands."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float, stdin: bytes | IO[bytes] = b"") -> Completed:
        """As `Transport.run`."""


class _Found(NamedTuple):
    size_bytes: int
    sha256: str


def patience_s(size_bytes: int) -> float:
    """How long a copy of so many bytes may take, in seconds: over the slowest radio that one would use."""
    return _PATIENCE_S + size_bytes / _SLOWEST_BYTES_S


def push(far: Far, here: Path, there: str, *, fast: Callable[[], bool] = lambda: False) -> None:
    """Copy a file to the device.

    A broken connection is tried again, at most three times without a byte more; `fast` may send the file in another
    way, and says whether it has tried.

    Raises:
        DeviceError: the device has no room or no right, or what arrived has another hash.
    """
    size_bytes, tries, most = here.stat().st_size, 0, -1
    with here.open("rb", buffering=0) as file:
        whole = _beginning(file, size_bytes)
    while True:
        try:
            have = _look(far, there, size_bytes)
            if have.size_bytes > most:
                tries, most = 0, have.size_bytes
            if have == whole or (fast() and _look(far, there, size_bytes) == whole):
                return
            with here.open("rb", buffering=0) as file:  # its own for each try: a program of the last may still read on
                _send(far, file, there, whole, have)
        except ConnectionLost:
            tries += 1
            if tries >= _TRIES:
                raise
            time.sleep(_PAUSE_S * 2**tries)
        else:
            return


def _beginning(file: IO[bytes], size_bytes: int) -> _Found:
    """The hash of the first bytes of a file, which then stands behind them."""
    digest, left = hashlib.sha256(), size_bytes
    file.seek(0)
    while left > 0 and (piece := file.read(min(left, PIECE))):
        digest.update(piece)
        left -= len(piece)
    return _Found(size_bytes - left, digest.hexdigest())


def _look(far: Far, there: str, size_bytes: int) -> _Found:
    return _found(far(["sh", "-c", _LOOK, "sh", there], timeout_s=patience_s(size_bytes)), there)


def _send(far: Far, file: IO[bytes], there: str, whole: _Found, have: _Found) -> None:
    goes_on = 0 < have.size_bytes < whole.size_bytes and _beginning(file, have.size_bytes) == have
    if not goes_on:
        file.seek(0)
    script = _ADD if goes_on else _NEW
    done = far(["sh", "-c", script, "sh", there], timeout_s=patience_s(whole.size_bytes), stdin=file)
    found = _found(done, there)
    if found != whole:
        what = f"{there}: {whole.size_bytes} bytes were sent, {found.size_bytes} bytes with "
        same = "the same" if found.sha256 == whole.sha256 else "another"
        raise DeviceError(f"{what}{same} hash are on the device", hint="try again; is its disk failing?")


def _found(done: Completed, there: str) -> _Found:
    """What a script printed: a size, and a hash."""
    words = done.stdout.decode(errors="replace").split()
    if done.exit_code != 0 or len(words) < 2 or not words[0].isdecimal():
        said = one_line(done.stderr.decode(errors="replace"), 300) or f"exit code {done.exit_code}"
        full = "no space left" in said.lower() or "quota" in said.lower()
        hint = (
            "free some space on the device" if full else "the device needs sha256sum or python3, and the right to write"
        )
        raise DeviceError(f"cannot write {there}: {said}", hint=hint)
    return _Found(int(words[0]), words[1])


def pull(far: Far, there: str, here: Path) -> None:
    """Copy a file from the device. Raises DeviceError: it is not there, or did not arrive as it is."""
    wanted = _look(far, there, 0)
    done = far(["cat", there], timeout_s=patience_s(wanted.size_bytes))
    found = _Found(len(done.stdout), hashlib.sha256(done.stdout).hexdigest())
    if done.exit_code != 0 or found != wanted:
        said = one_line(done.stderr.decode(errors="replace"), 300)
        raise DeviceError(f"cannot read {there}: {said or 'it changed on the way'}", hint="is the path right?")
    here.write_bytes(done.stdout)
