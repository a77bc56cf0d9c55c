"""Releases side by side on a board's disk, of files that are kept once by their hash; one of them is active.

    ROOT/current -> releases/000007-1f0c6a2b9d3e    what apps open; a symbolic link, replaced in one step
    ROOT/releases/ID/                               bundles, of hard links to blobs, or where these are forbidden copies
    ROOT/blobs/SHA256                               a file of any release, read-only
    ROOT/incoming/                                  what is being sent, mode 0700; interrupted transfers go on here
    ROOT/state.json  lock                           active, previous, trial; one writer at a time
    ROOT/journal.jsonl  journal.head                what happened and why, each line chained to the one before it
    ROOT/env/bin/python  wheels/                    a Python with edgewright and engines, of `flash --install`
    ROOT/native/                                    a runner and an engine, where there is no Python: `devices/_native/`
    ROOT/newest                                     the highest version that was ever active; see `Store.newest`
    ROOT/reserve                                    space for the way back on a full disk; see `Store.write`
    ROOT/keys/                                      the owner's: where they are, nothing unsigned; see `keys.py`
    ROOT/keys/oldest                                the owner's too: a lower version that may be installed all the same

`current` alone decides what is active: it leads to a whole release before and after every operation. The state tells
which of two was proven, and is rebuilt from the directories where it is lost. A release gets its name only when all
that is in it is on the disk, and is never changed after that.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from edgewright.devices._onboard.env import Env
from edgewright.devices._onboard.files import ensure_dir, fill, get, put, remove
from edgewright.devices._onboard.release import MANIFEST, SIGNATURE, Part, Release
from edgewright.devices._onboard.state import State, is_release, sequence_of
from edgewright.errors import BundleError, DeviceError
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from edgewright.devices._onboard.disk import Disk

__all__ = ["Store"]

_FOLDERS = {"blobs": 0o755, "releases": 0o755, "incoming": 0o700}
"""Others may read what is installed; what is still coming is the owner's alone."""
_FILES = {"lock", "current", "state.json", "journal.jsonl", "journal.head", "newest", "reserve"}
_OURS = {*_FOLDERS, *_FILES, "keys", "env", "native", "wheels"}
_RESERVE_BYTES = 2**15
"""A choice: a state, a link and some lines of the journal, a block each, and as much again."""
_MAX_COUNT_BYTES = 32
"""A version has 16 digits at most, and a line's end."""
_OTHERS_WRITE = 0o022
"""Bits of a mode by which others than the owner may write."""
_MAX_STATE_BYTES = 2**12
"""One block of most file systems; a state has a few names."""


class Store:
    """The releases below `root`, an absolute path."""

    def __init__(self, disk: Disk, root: str) -> None:
        self.disk, self.root = disk, root
        self.incoming, self.link = f"{root}/incoming", f"{root}/current"
        self.env = Env(disk, root)

    def release_dir(self, name: str) -> str:
        """Where a release lies."""
        return f"{self.root}/releases/{name}"

    def blob(self, digest: str) -> str:
        """Where a file with this SHA-256 lies."""
        return f"{self.root}/blobs/{digest}"

    def make(self) -> None:
        """Make the directories that are missing.

        Raises:
            DeviceError: `root` holds something else.
        """
        self.check_ours()
        missing, path = [], self.root
        while self.disk.stat(path) is None:
            missing.append(path)
            path = path.rpartition("/")[0] or "/"
        for folder in reversed(missing):
            ensure_dir(self.disk, folder)
        for name, mode in _FOLDERS.items():
            ensure_dir(self.disk, f"{self.root}/{name}", mode)

    def check_ours(self) -> None:
        """Raise DeviceError where `root` is a directory of another purpose, or one that others may change."""
        facts = self.disk.stat(self.root)
        if facts and facts.kind == "dir":
            if not facts.ours:
                what = f"{self.root} belongs to another user of the board"
                raise DeviceError(what, hint="come as that user, or choose another --root")
            self._check_mode(self.root, facts.mode)
        names = self.disk.list(self.root) if facts and facts.kind == "dir" else []
        strange = sorted({name.removesuffix(".new") for name in names} - _OURS)
        if (facts and facts.kind != "dir") or (strange and "state.json" not in names):
            what = f"holds {strange[0]!r}" if strange else "is not a directory"
            raise DeviceError(f"{self.root} {what}, it is no store of releases", hint="choose another --root")

    @staticmethod
    def _check_mode(path: str, mode: int) -> None:
        if mode & _OTHERS_WRITE:
            what = f"{path} may be written by other users of the board (mode {mode:o})"
            raise DeviceError(what, hint=f"run there: chmod go-w {path}")

    # the owner's word

    def owned(self, name: str) -> str:
        """The path of a file in `keys`, "" where there is none. Raises DeviceError: others may change it."""
        path = f"{self.root}/keys/{name}"
        for place in (f"{self.root}/keys", path):
            facts = self.disk.stat(place)
            if facts is None:
                return ""
            if facts.kind != "link":  # its end may lie anywhere the owner likes
                self._check_mode(place, facts.mode)
        return path

    def newest(self) -> int:
        """The highest version that was ever active, 0 where none is noted: it outlives damage and, with keys, removal.

        Raises:
            DeviceError: what is noted cannot be read.
        """
        return self._count(f"{self.root}/newest") or 0

    def oldest(self) -> int | None:
        """The version that the owner allows all the same, None where nothing is said. Raises DeviceError."""
        path = self.owned("oldest")
        return self._count(path) if path else None

    def _count(self, path: str) -> int | None:
        if self.disk.stat(path) is None:
            return None
        try:
            return int(get(self.disk, path, _MAX_COUNT_BYTES).decode("ascii"))
        except (OSError, ValueError) as error:
            what = f"{path} does not hold the number of a version"
            raise DeviceError(what, hint=f"write it there: echo VERSION > {path}") from error

    def raise_newest(self, version: int) -> None:
        """Note the version of a release that is healthy, where it is the highest so far."""
        if self.newest() < version:
            put(self.disk, f"{self.root}/newest", f"{version}\n".encode())

    # what is there

    def current(self) -> str:
        """The release that `current` leads to, "" where there is none."""
        facts = self.disk.stat(self.link)
        target = self.disk.readlink(self.link) if facts and facts.kind == "link" else ""
        folder, _, name = target.rpartition("/")
        there = folder == "releases" and is_release(name) and self.disk.stat(self.release_dir(name))
        return name if there else ""

    def releases(self) -> list[str]:
        """Every release, oldest first."""
        folder = f"{self.root}/releases"
        return [name for name in self.disk.list(folder) if is_release(name)] if self.disk.stat(folder) else []

    def state(self) -> State:
        """What is active, previous and on trial; where file and directories disagree, the directories are right."""
        return self._agreed(self._written(), self.current())

    def _agreed(self, found: State | None, current: str) -> State:
        there = self.releases()
        if found is None:
            return self._rebuilt(there, current)
        names = {role: name for role in ("active", "previous", "trial") if (name := getattr(found, role)) in there}
        state = State(sequence=max([found.sequence, *map(sequence_of, there)]), **names)
        if not state.trial and current not in ("", state.active):
            state = replace(state, active=current, previous=state.previous if state.previous != current else "")
        return state

    def _written(self) -> State | None:
        try:
            return State.read(get(self.disk, f"{self.root}/state.json", _MAX_STATE_BYTES))
        except OSError:  # not there, or on a bad block: the directories say nearly as much
            return None

    def _rebuilt(self, there: list[str], current: str) -> State:
        """Active is what `current` leads to and previous the newest other one, whole ones first."""
        whole = {name for name in there if not self.problem(name)}
        order = sorted(there, key=lambda name: (name in whole, name == current, sequence_of(name)), reverse=True)
        active, previous, *_ = *order, "", ""
        return State(active=active, previous=previous, sequence=max(map(sequence_of, there), default=0))

    def read(self, name: str) -> Release:
        """A release by its name.

        Raises:
            BundleError: its manifest is damaged: the name holds the beginning of its hash.
        """
        folder = self.release_dir(name)
        signed = self.disk.stat(f"{folder}/{SIGNATURE}") is not None
        manifest = get(self.disk, f"{folder}/{MANIFEST}", MAX_JSON_BYTES)
        signature = get(self.disk, f"{folder}/{SIGNATURE}", MAX_SIGNATURE_BYTES) if signed else b""
        release = Release.read(manifest, signature)
        if not release.is_called(name):
            raise BundleError(f"{MANIFEST} has another hash than the release's name")
        return release

    def problem(self, name: str) -> str:
        """What is wrong with a release, in words, every file hashed; "" where it is whole.

        Looked at twice before it is believed: a hiccup of the disk is no rot.
        """
        return self._problem(name) and self._problem(name)

    def _problem(self, name: str) -> str:
        try:
            release = self.read(name)
            found = self._files(self.release_dir(name))
            wanted = {MANIFEST, *((SIGNATURE,) if release.signature else ()), *(p.path for p in release.parts)}
            if found != wanted:
                return f"missing or extra: {', '.join(sorted(found ^ wanted))}"
            bad = [p.path for p in release.parts if not self._is(f"{self.release_dir(name)}/{p.path}", p)]
        except (OSError, BundleError) as error:
            return str(error)
        return f"damaged: {', '.join(bad)}" if bad else ""

    def _files(self, folder: str) -> set[str]:
        found = set()
        for name in self.disk.list(folder):
            facts = self.disk.stat(f"{folder}/{name}")
            inner = self._files(f"{folder}/{name}") if facts and facts.kind == "dir" else None
            found |= {name} if inner is None else {f"{name}/{path}" for path in inner}
        return found

    def _is(self, path: str, part: Part, *, sync: bool = False) -> bool:
        """Whether a path is a plain file with a part's size and hash."""
        facts = self.disk.stat(path)
        fits = facts is not None and facts.kind == "file" and facts.size_bytes == part.size_bytes
        return fits and self.disk.sha256(path, sync=sync) == part.sha256

    def missing(self, parts: Iterable[Part]) -> list[Part]:
        """The parts of which no blob is whole, each hash once."""
        each: dict[str, Part] = {}
        for part in parts:
            each.setdefault(part.sha256, part)
        return [part for part in each.values() if not self._is(self.blob(part.sha256), part)]

    def has_come(self, part: Part) -> bool:
        """Whether a part has been sent whole, by a transfer that was interrupted after it."""
        return self._is(f"{self.incoming}/{part.sha256}", part)

    # what changes it

    def adopt(self, parts: Iterable[Part]) -> None:
        """Make blobs of the parts that were sent; a blob that rotted is replaced.

        Raises:
            DeviceError: one did not arrive as it was sent; it is removed, and the next try sends it again.
        """
        for part in self.missing(parts):
            path = self.arrived(part)
            self.disk.chmod(path, 0o444)
            self.disk.rename(path, self.blob(part.sha256))
        self.disk.sync_dir(f"{self.root}/blobs")

    def arrived(self, part: Part) -> str:
        """Where a part that was sent lies, its hash looked at. Raises DeviceError, and removes what is not it."""
        path = f"{self.incoming}/{part.sha256}"
        if not self._is(path, part, sync=True):
            facts = self.disk.stat(path)
            came = f"{facts.size_bytes} bytes with another hash" if facts else "nothing"
            remove(self.disk, path)
            what = f"{part.path} did not arrive whole: {part.size_bytes} bytes were sent, {came} came"
            raise DeviceError(what, hint="try again; what did arrive is kept")
        return path

    def build(self, release: Release, name: str) -> None:
        """Lay out a release of blobs, and give it its name when all of it is on the disk."""
        new = f"{self.root}/releases/.new"
        folders = sorted({path for part in release.parts for path in _parents(part.path)})
        remove(self.disk, new)
        for folder in ("", *(f"/{folder}" for folder in folders)):
            self.disk.mkdir(f"{new}{folder}", 0o755)
        for part in release.parts:
            self.disk.link(self.blob(part.sha256), f"{new}/{part.path}")
        fill(self.disk, f"{new}/{MANIFEST}", release.manifest)
        if release.signature:
            fill(self.disk, f"{new}/{SIGNATURE}", release.signature)
        for folder in (*(f"{new}/{folder}" for folder in reversed(folders)), new):
            self.disk.sync_dir(folder)
        self.disk.rename(new, self.release_dir(name))
        self.disk.sync_dir(f"{self.root}/releases")

    def write(self, state: State) -> None:
        """Put down what is active, previous and on trial; on a full disk too."""
        data = str(state).encode()
        try:
            put(self.disk, f"{self.root}/state.json", data)
        except OSError as error:
            if not self._relieved(error):
                raise
            put(self.disk, f"{self.root}/state.json", data)

    def _relieved(self, error: OSError) -> bool:
        """Whether space was made for what a full disk did not take: by the reserve, and by unfinished transfers."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return False
        with suppress(OSError):
            remove(self.disk, f"{self.root}/reserve")
            for name in self.disk.list(self.incoming):
                remove(self.disk, f"{self.incoming}/{name}")
            return True
        return False

    def keep_reserve(self) -> None:
        """Take the space for the way back, where there is some."""
        path = f"{self.root}/reserve"
        facts = self.disk.stat(path)
        if facts is None or facts.size_bytes != _RESERVE_BYTES:
            try:
                fill(self.disk, path, bytes(_RESERVE_BYTES), sync=False)
            except OSError:
                with suppress(OSError):
                    remove(self.disk, path)

    def switch(self, name: str) -> None:
        """Let `current` lead to a release, or with "" to nowhere, in one step."""
        if name:
            try:
                self._lead(name)
            except OSError as error:
                if not self._relieved(error):
                    raise
                self._lead(name)
        elif self.disk.stat(self.link):
            self.disk.unlink(self.link)
        self.disk.sync_dir(self.root)

    def _lead(self, name: str) -> None:
        remove(self.disk, f"{self.link}.new")
        self.disk.symlink(f"releases/{name}", f"{self.link}.new")
        self.disk.rename(f"{self.link}.new", self.link)

    def recover(self, follow: Callable[[str], None] = lambda _: None) -> tuple[State, str]:
        """Take back what was interrupted, until `current` and state agree: the state, and in words what it was.

        `follow` is called with the active release before the state says that all is well.
        """
        written, current, words = self._written(), self.current(), ""
        state = self._agreed(written, current)
        if state.trial:
            words = f"{state.trial} was interrupted on trial"
            state = self.settled(state, (state.trial, state.previous) if state.active else ())
        if current != state.active:
            self.switch(state.active)
        follow(state.active)
        if written != state:
            self.write(state)
        return state, words and f"{words}; active is {state.active or 'nothing'}"

    def settled(self, state: State, others: tuple[str, ...]) -> State:
        """The state after a trial not passed: what was active, unless that rotted and one of `others` is whole."""
        home = next((n for n in (state.active, *others) if n and not self.problem(n)), state.active)
        previous = next((n for n in (state.previous, state.active) if n != home), "")
        return replace(state, active=home, previous=previous, trial="")

    def clean(self, state: State, keep: Collection[str] = ()) -> None:
        """Remove what no one needs: releases that the state does not name, blobs of none, transfers not in `keep`."""
        for name in self.disk.list(f"{self.root}/releases"):
            if name not in state.named:
                remove(self.disk, self.release_dir(name))
        for name in self.disk.list(self.incoming):
            if name not in keep:
                remove(self.disk, f"{self.incoming}/{name}")
        needed = {*keep, *(() if self.disk.shares else self._listed(state))}
        for name in self.disk.list(f"{self.root}/blobs"):
            facts = self.disk.stat(self.blob(name))
            if name not in needed and facts and facts.links == 1:
                remove(self.disk, self.blob(name))
        for name in (
            "current.new",
            "state.json.new",
            "journal.jsonl.new",
            "journal.head.new",
            "newest.new",
            "keys/root.json.new",
        ):
            remove(self.disk, f"{self.root}/{name}")
        self.env.clean(keep)
        self.keep_reserve()

    def _listed(self, state: State) -> set[str]:
        """The hashes of the files of the releases in use, where no count of links tells which these are."""
        found: set[str] = set()
        for name in state.named:
            with suppress(OSError, BundleError):  # a damaged one has files of its own there; they come anew
                found |= {part.sha256 for part in self.read(name).parts}
        return found


def _parents(path: str) -> list[str]:
    """The directories above a path: `a/b/c` -> `a`, `a/b`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
