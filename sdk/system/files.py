"""Reads of files that nobody has vouched for yet, and outputs: files that are written whole or not at all.

An input is a file, or an open descriptor such as /dev/stdin. A pipe or a device with a name of its own may hang or
never end, and is refused.

An output is what its name leads to. Links are followed and stay; a file at their end is replaced in one step, by one
that was written beside it under a name that nobody can foretell. A device, a pipe or an open descriptor such as
/dev/stdout is written to as it stands.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from edgewright.errors import BundleError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from io import BufferedReader

    from edgewright.errors import EdgewrightError

__all__ = [
    "MAX_LINE_BYTES",
    "alone",
    "capped_lines",
    "check_free",
    "check_place",
    "compressed_bytes",
    "copy_whole",
    "home",
    "into",
    "is_lfs_pointer",
    "locked",
    "own_record",
    "plain",
    "read_capped",
    "scratch",
    "scratch_beside",
    "sha256",
    "size_of",
    "unwritten",
    "write_whole",
    "writing",
]

_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""
_DESCRIPTORS = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd")
"""Where each name is an open descriptor of a process: its link names a file, but is more than that name."""
_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_LFS, _MOST_LFS_BYTES = b"version https://git-lfs.github.com/spec/", 1024
"""How the pointer begins that git-lfs leaves in the place of a file, and its largest size (git-lfs, docs/spec.md)."""
_PIECE = 2**18
"""Bytes into which a file is read, a part of a cache: new memory for each piece takes a tenth more time."""
_MOST_RECORD_BYTES = 2**24
"""A choice: settings and shapes have some kilobytes."""
MAX_LINE_BYTES = 2**22
"""A choice: four times the longest text that a tokenizer takes, as JSON escapes it."""


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces. Raises OSError, as `plain` does."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(_PIECE))
    with plain(path) as file:
        while count := file.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is what git-lfs leaves in its place until `git lfs pull`; False where it cannot be read."""
    try:
        facts = path.lstat()
        return stat.S_ISREG(facts.st_mode) and facts.st_size <= _MOST_LFS_BYTES and path.read_bytes().startswith(_LFS)
    except (OSError, ValueError):
        return False


def compressed_bytes(files: Iterable[Path]) -> int:
    """The bytes of files together, each after deflate (RFC 1951) at zlib's own level, 6.

    A flash sends files as they are, and `pack` leaves them so. Where a model is compressed on its way to a device, that
    which carries it does it, and by deflate: the zip of an APK, an archive for Mender, the file system in a bundle of
    RAUC, `ssh -C`. Of float weights it saves little; zeros and repetitions show.
    """
    import zlib

    total = 0
    for path in files:
        packer = zlib.compressobj()
        with plain(path) as file:
            while piece := file.read(1 << 20):
                total += len(packer.compress(piece))
        total += len(packer.flush())
    return total


def read_capped(path: Path, most: int, kind: type[EdgewrightError] = BundleError, *, hint: str = "") -> bytes:
    """The bytes of a file, all of them.

    Raises:
        OSError: it cannot be read, or is no file.
        EdgewrightError: of the kind that was given, where there are more than `most`.
    """
    with plain(path) as file:
        data = file.read(most + 1)
        if len(data) > most:
            size = max(len(data), os.fstat(file.fileno()).st_size)
            raise kind(f"{path} has {size} bytes, at most {most} are read", hint=hint)
    return data


def plain(path: Path, *, pipe_s: float = 0.0) -> BufferedReader:
    """A file to read, or what an open descriptor such as /dev/stdin leads to.

    Args:
        path: the file.
        pipe_s: how long to wait for something to come through a named pipe; 0 for no pipe at all.

    Raises:
        OSError: it cannot be read, or is a pipe, a socket, a device or a directory.
    """
    if _DESCRIPTORS.fullmatch(str(_end(path).parent)):
        return path.open("rb")
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)  # of a pipe: not to wait for it
    kind = stat.S_IFMT(os.fstat(number).st_mode)
    if kind == stat.S_IFREG:
        return os.fdopen(number, "rb")
    if kind == stat.S_IFIFO and pipe_s and _comes(number, pipe_s):
        os.set_blocking(number, True)
        return os.fdopen(number, "rb")
    os.close(number)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    found = _KINDS.get(kind, "no file")
    words = f"nothing came through the pipe in {pipe_s:g} s" if kind == stat.S_IFIFO and pipe_s else ""
    raise OSError(errno.EINVAL, words or f"it is {found}, where a file should be", str(path))


def _comes(number: int, pipe_s: float) -> bool:
    """Whether something comes through a pipe in time."""
    from select import select

    return bool(select([number], [], [], pipe_s)[0])


def own_record(path: Path) -> dict[str, Any]:
    """What a small file of our own says, a JSON object.

    Raises:
        StorageError: it cannot be read, or is damaged, as by a disk that filled.
    """
    try:
        tree = json.loads(read_capped(path, _MOST_RECORD_BYTES, StorageError).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} cannot be read: {error}", hint=f"remove {path.parent}, and run it again") from error
    if not isinstance(tree, dict):
        raise StorageError(f"{path} is not what was written there", hint=f"remove {path.parent}, and run it again")
    return tree


def capped_lines(file: IO[str], name: str, kind: type[EdgewrightError]) -> Iterator[str]:
    """The lines of an open file. Raises an error of the kind that was given for one of over `MAX_LINE_BYTES`."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise kind(f"line {number} of {name} has over {MAX_LINE_BYTES} characters", hint="is it a file of lines?")
        yield line


def home(variable: str, below: str) -> Path:
    """The user's directory for caches or settings: that of an XDG variable, else `below` in the home directory.

    Raises:
        StorageError: there is neither, as for a user without an entry in the list of users.
    """
    given = Path(os.environ.get(variable, ""))
    if given.is_absolute():
        return given
    try:
        return Path.home() / below
    except RuntimeError as error:
        raise StorageError(f"this user has no home directory for {below}", hint=f"set HOME, or {variable}") from error


def unwritten(place: str | Path, error: OSError, *, hint: str = "choose another place") -> StorageError:
    """The error for what could not be written, with what to do next: only a full disk wants space."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = f"cannot write {place}: {error.strerror or error}"
    return StorageError(said, hint=f"free some space, or {hint}" if full else hint)


def check_place(out: Path) -> None:
    """Raise StorageError where an output could not be written, before any work is done for it."""
    try:
        known = _barred(_end(out))
    except OSError as error:
        raise unwritten(out, error, hint="give another file") from error
    if known:
        raise unwritten(out, OSError(known, os.strerror(known)), hint="give another file")


def _barred(end: Path) -> int:
    """What the system would say of a file to be written there, 0 where nothing bars it."""
    if end.is_dir():
        return errno.EISDIR
    if not end.parent.is_dir():
        return errno.ENOTDIR
    return errno.EACCES if size_of(end) is not None and not os.access(end.parent, os.W_OK | os.X_OK) else 0


def check_free(out: Path, *, force: bool) -> None:
    """The same, and where an output is a directory, or a file or link that only `force` replaces."""
    if not os.path.lexists(out):
        check_place(out)
        return
    if out.is_dir():
        raise StorageError(f"{out} exists and is a directory", hint="choose another place")
    if not force and size_of(out) is not None:
        raise StorageError(f"{out} exists", hint="use --force to replace it, or choose another place")
    check_place(out)


def size_of(out: Path) -> int | None:
    """The bytes of an output, 0 where there is nothing yet; None for what is written to as it stands."""
    try:
        end = _end(out)
        found = end.stat()
    except OSError:
        return 0
    whole = stat.S_ISREG(found.st_mode) and not _DESCRIPTORS.fullmatch(str(end.parent))
    return found.st_size if whole else None


def write_whole(path: Path, data: bytes, *, mode: int = 0o666, beside: Path | None = None) -> None:
    """Write an output, as `writing` does. Raises StorageError."""
    with writing(path, mode=mode, beside=beside) as file:
        file.write(data)


def copy_whole(made: Path, path: Path) -> None:
    """Write an output that lies elsewhere, as `writing` does, in pieces. Raises StorageError."""
    import shutil

    with made.open("rb") as source, writing(path) as file:
        shutil.copyfileobj(source, file, _PIECE)


@contextmanager
def writing(path: Path, *, mode: int = 0o666, beside: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write, which becomes the output `path` when the block ends well, whole or not at all.

    Args:
        path: the output, see the module.
        mode: of a new file, less the umask. One that is there keeps its mode, but for what of `mode` executes, and
            where that is allowed its owner.
        beside: where the unfinished file lies, by default beside the finished one; on the same file system.

    Raises:
        StorageError: it is a directory or a loop of links, or the disk is full or read-only.
    """
    try:
        end = _end(path)
        descriptor = _opened(end)
        if descriptor is not None:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            return
        with _replacing(end, mode, beside or end.parent) as file:
            yield file
    except OSError as error:
        raise unwritten(path, error, hint="give another file") from error


def _end(path: Path) -> Path:
    """Where the links of an output end: a name in a real directory that is no link, or an open descriptor."""
    for _ in range(_MOST_LINKS + 1):
        folder = Path(os.path.realpath(path.parent, strict=True))
        path = folder / path.name
        if _DESCRIPTORS.fullmatch(str(folder)) or not path.is_symlink():
            return path
        path = folder / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _opened(end: Path) -> int | None:
    """A descriptor to what is written to as it stands; None for a file, and for what is not there."""
    owner = _DESCRIPTORS.fullmatch(str(end.parent))
    if owner and int(owner[1]) == os.getpid():
        return _second(int(end.name))
    try:
        found = end.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found.st_mode) and not owner:
        return None
    how = os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(end, how | (os.O_APPEND if owner else os.O_NOFOLLOW))


def _second(descriptor: int) -> int:
    """Another one for the same open file, which goes on where that stands; none for those that Python opened itself."""
    if not os.get_inheritable(descriptor):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return os.dup(descriptor)


@contextmanager
def _replacing(end: Path, mode: int, beside: Path) -> Iterator[BinaryIO]:
    """A new file in `beside` that takes the name `end` when the block ends well, and is gone when it does not."""
    try:
        old = end.lstat()
    except FileNotFoundError:
        old = None
    _sweep(beside)
    part, handle = _part(beside, mode if old is None else 0o600)
    with os.fdopen(handle, "wb") as file:
        try:
            yield file
            if old is not None:
                _keep(file.fileno(), old, mode)
            file.flush()
            os.fsync(file.fileno())
            part.replace(end)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _part(beside: Path, mode: int) -> tuple[Path, int]:
    """A new file under a name that nobody can foretell, locked for as long as it is unfinished."""
    from secrets import token_hex  # a first answer reads files, and writes none

    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        part = beside / f".edgewright-{token_hex(8)}.part"
        handle = os.open(part, how, mode)
        _lock(handle)
        if os.fstat(handle).st_nlink:
            return part, handle
        os.close(handle)  # taken for a dead one's, between those two lines


def _sweep(beside: Path) -> None:
    """Remove what killed processes of this user left unfinished in a directory: no one holds its lock."""
    for left in beside.glob(".edgewright-*.part"):
        with suppress(OSError), left.open("rb") as file:
            if left.lstat().st_uid == os.geteuid() and not left.is_symlink() and _lock(file.fileno()):
                left.unlink()


def _lock(handle: int) -> bool:
    """Lock an open file and say whether it is locked; not where another process has it, or there are no locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _keep(handle: int, old: os.stat_result, mode: int) -> None:
    """Give a file the owner of the one that it replaces, as far as that is allowed, and its mode."""
    for user, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):
            os.fchown(handle, user, group)
    os.fchmod(handle, old.st_mode & 0o777 | mode & 0o111)


@contextmanager
def into(place: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `place` when it is whole; of two processes that fill it, one wins.

    Raises:
        OSError: the disk is full or read-only.
    """
    with scratch_beside(place) as work:
        yield work
        try:
            work.rename(place)
        except OSError:
            if not place.is_dir():
                raise


@contextmanager
def scratch_beside(place: Path) -> Iterator[Path]:
    """A directory on the file system of `place`, gone at the end; what killed processes left of theirs goes first.

    A lock tells theirs from those that are in use. Where the system has none, nothing of others is removed; nor is ever
    a link, a file, or a directory of another user that has such a name.

    Raises:
        OSError: the disk is full or read-only.
    """
    import shutil
    from glob import escape
    from tempfile import mkdtemp

    place.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{place.name}.unfinished-"
    for left in place.parent.glob(f"{escape(prefix)}*"):
        with locked(left, wait=False) as gained:
            if gained and left.lstat().st_uid == os.geteuid():
                shutil.rmtree(left, ignore_errors=True)
    while True:
        work = Path(mkdtemp(prefix=prefix, dir=place.parent))
        with locked(work) as _:
            if not work.is_dir():  # taken for a dead one's, between those two lines
                continue
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
            return


def scratch() -> AbstractContextManager[Path]:
    """A directory among the system's temporary ones, see `scratch_beside`: a killed build's can hold a whole model."""
    from tempfile import gettempdir

    return scratch_beside(Path(gettempdir(), "edgewright"))


@contextmanager
def locked(directory: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a directory against other processes, and say whether it is held; its lock goes with the process.

    It is not where another one holds it, the directory is gone, or the system or the file system has no such locks.
    """
    held = False
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        yield held


@contextmanager
def alone(directory: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Work in a directory while no other process does; `waiting` is called if one has to be waited for."""
    with locked(directory, wait=False) as held:
        if held:
            yield
            return
    waiting()
    with locked(directory):
        yield
