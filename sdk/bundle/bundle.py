"""Bundles: directories that are what their manifest says, and are opened only after that has been checked.

`Bundle.open` checks the manifest, every name and every size, and that nothing is missing or extra. The hash of a file
is checked before the file is used: `Bundle.checked` on the few that a run needs, `Bundle.check_hashes` on all. So is
that an artifact names no file which the manifest does not list (`edgewright.bundle.external_data`).
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections import Counter
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgewright import registry
from edgewright.bundle.external_data import check_file, graphs_of, weights_of
from edgewright.bundle.manifest import Artifact, File, Golden, Manifest, decode
from edgewright.errors import BundleError, UsageError, quoted
from edgewright.system.files import is_lfs_pointer, plain, read_capped, sha256
from edgewright.system.machine import model
from edgewright.system.untrusted import MAX_FILES, MAX_JSON_BYTES, check_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from edgewright.bundle.manifest import Choice
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["GOLDEN", "MANIFEST", "SIGNATURE", "Bundle", "inspect", "problems"]

MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
GOLDEN = "golden.json"
_AGAIN = "copy the whole bundle again"
_OURS = "give the directory that `edgewright build --out` wrote"
_GENERATING = ("chat_template.jinja", "config.json", "generation_config.json")
"""What a decoder's bundle has beside its tokenizer, as transformers names it."""
_CONTAINED: set[tuple[Artifact, int | None, tuple[File, ...]]] = set()
"""The artifacts that were found to name no other file, with the size of their weights and their encoder's graph; the
hashes are part of them."""
_ASIDE = (".cache", ".git")
"""What git and `hf download --local-dir` keep in the directory itself; it is not even looked into."""
_BESIDE = re.compile(r"README\.md|LICENSE[A-Za-z0-9._-]*|\.gitattributes|\.git|\.cache|(?:.*/)?\.DS_Store", re.DOTALL)
"""What hubs, git and a Mac's Finder lay beside the listed files. None of it is ever read, unless it is listed."""


class Bundle(Struct, frozen=True, dict=True):
    """A bundle whose manifest, names and sizes have been checked."""

    directory: Path
    manifest: Manifest

    @classmethod
    def open(cls, directory: str | Path) -> Bundle:
        """Open a bundle.

        Raises:
            BundleError: no bundle, or not what its manifest says; lists missing, extra and resized files.
        """
        root = Path(directory)
        try:
            kind = _unfit(root)
        except (OSError, ValueError) as error:  # may not be looked at, or is no name at all
            raise _unreadable(root, error) from error
        if kind:
            packed = _is_packed(root)
            hint = f"it is a packed bundle: edgewright unpack {root} --out DIR" if packed else _OURS
            raise BundleError(f"{root} {kind}", hint=hint)
        try:
            manifest = decode(read_capped(root / MANIFEST, MAX_JSON_BYTES), Manifest, MANIFEST)
            found = problems(manifest, _sizes(root))
        except OSError as error:
            raise _unreadable(root, error) from error
        if found:
            hint = "git has not fetched its files: git lfs pull" if _pointers(root, manifest) else _AGAIN
            raise BundleError(f"{root}: {'; '.join(found)}", hint=hint)
        return cls(root, manifest)

    @classmethod
    def of(cls, bundle: Bundle | str | Path) -> Bundle:
        """A bundle as it is, or the one in a directory. Raises what `open` raises."""
        return bundle if isinstance(bundle, Bundle) else cls.open(bundle)

    def task(self) -> Any:
        """The bundle's task, an `edgewright.tasks.Task`. Raises UsageError: this edgewright has none such."""
        return registry.load("tasks", self.manifest.task)(self.manifest.settings)

    def check_task(self, asked: str | None) -> None:
        """Raise UsageError for a task that was asked of it and is another one than its own, which it was built for."""
        if asked not in (None, self.manifest.task):
            what = f"{self.directory} is a bundle for {self.manifest.task}, {quoted(asked)} was asked"
            raise UsageError(what, hint="leave the task out, which is that of a source, or build the source for it")

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        return brief(self, self.directory.name, self.manifest.summary)

    def _repr_html_(self) -> str:
        from edgewright.system.markup import tag

        return tag("b", str(self.directory)) + self.manifest._repr_html_()

    @cached_property
    def _by_path(self) -> dict[str, Artifact | File]:
        return {file.path: file for file in _listed(self.manifest)}

    def checked(self, path: str) -> Path:
        """The file `path` of the bundle, its hash checked, and that an artifact keeps to itself. Raises BundleError."""
        listed = self._by_path.get(path)
        if listed is None:
            raise BundleError(f"{self.directory} has no {path}", hint="the bundle is incomplete; build it again")
        try:
            digest = sha256(self.directory / path)
            if digest == listed.sha256 and isinstance(listed, Artifact):
                self._check_contained(listed)
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}") from error
        if digest != listed.sha256:
            hint = "the file was changed or damaged; copy the bundle again"
            raise BundleError(f"{path} has SHA-256 {digest[:12]}…, the manifest says {listed.sha256[:12]}…", hint=hint)
        return self.directory / path

    def _check_contained(self, artifact: Artifact) -> None:
        """Raise BundleError where an artifact names another file than its weights; once for each in a process."""
        beside = weights_of(artifact.path)
        found = self._by_path.get(beside)
        every = [self._by_path.get(path) for path in graphs_of(artifact.path)]
        graphs = tuple(one for one in every if isinstance(one, File))
        weights = found.size_bytes if isinstance(found, File) else None
        if (artifact, weights, graphs) not in _CONTAINED:
            check_file(artifact.format, self.directory / artifact.path, artifact.path, weights)
            for graph in graphs:
                check_file(artifact.format, self.checked(graph.path), graph.path, weights, weights=beside)
            _CONTAINED.add((artifact, weights, graphs))

    def checking(self, paths: Iterable[str]) -> Callable[[], None]:
        """Check the hashes of `paths` on a thread; call what is given back to wait for it, and to raise what it found.

        Hashing leaves the interpreter free, so it costs nothing while the caller imports an engine.
        """
        found: list[Exception] = []

        def work() -> None:
            try:
                for path in paths:
                    self.checked(path)
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller must not go on
                found.append(error)

        def wait() -> None:
            thread.join()
            if found:
                raise found[0]

        thread = threading.Thread(target=work)
        thread.start()
        return wait

    def check_hashes(self) -> None:
        """Check the hash of every file. Raises BundleError for the first that differs."""
        for file in _listed(self.manifest):
            self.checked(file.path)

    def parts(self, artifact: Artifact) -> list[str]:
        """The files of an artifact: itself, other graphs such as its encoder's, and weights that lie beside it."""
        beside = (*graphs_of(artifact.path), weights_of(artifact.path))
        return [artifact.path, *(path for path in beside if isinstance(self._by_path.get(path), File))]

    def tokenizer_files(self) -> list[str]:
        """The files that `tokenizer` reads."""
        return [file.path for file in self.manifest.files if file.path.startswith("tokenizer")]

    def text_files(self) -> list[str]:
        """Those, and what says how a decoder is asked and how it writes."""
        more = [file.path for file in self.manifest.files if file.path in _GENERATING]
        return [*self.tokenizer_files(), *more]

    def tokenizer(self) -> Tokenizer:
        """The bundle's tokenizer; its files must have been checked."""
        from edgewright.text.tokenizer import Tokenizer

        return Tokenizer(self.directory, self.manifest.settings.max_length)

    def golden(self) -> Golden:
        """The golden cases, their file checked."""
        golden: Golden = decode(read_capped(self.checked(GOLDEN), MAX_JSON_BYTES), Golden, GOLDEN)
        return golden

    def choice(self) -> Choice | None:
        """What a race chose for this kind of machine, None where it has not been run."""
        if not self.manifest.choices:
            return None
        here = model()
        return next((choice for choice in self.manifest.choices if choice.machine == here), None)

    def artifacts(self, format: str | None = None, precision: str | None = None) -> list[Artifact]:  # noqa: A002
        """The artifacts of a format and precision, at least one; both are free by default.

        Raises:
            BundleError: the bundle holds none such; the ones it holds are listed.
        """
        every = self.manifest.artifacts
        fits = [a for a in every if format in (None, a.format) and precision in (None, a.precision)]
        if not fits:
            wanted = "/".join(word or "*" for word in (format, precision))
            hint = f"it has {', '.join(a.key for a in every)}"
            raise BundleError(f"{self.directory} has no artifact {wanted}", hint=hint)
        return fits

    def choose(
        self,
        *,
        format: str | None = None,  # noqa: A002
        precision: str | None = None,
        among: Collection[str] = (),
    ) -> Artifact:
        """The smallest artifact of a format and precision; both are free by default.

        Of formats that fit, those in `among` come first. Raises what `artifacts` raises.
        """
        fits = self.artifacts(format, precision)
        return min(fits, key=lambda a: (a.parity.diverged is not None, a.format not in among, a.total_bytes))


def inspect(bundle: Bundle | str | Path) -> Manifest:
    """What a bundle says of itself; hashes are not checked, that is `verify`. Raises what `Bundle.open` raises."""
    return Bundle.of(bundle).manifest


def problems(manifest: Manifest, sizes: dict[str, int]) -> list[str]:
    """What is wrong, in words, with a directory of files `path -> size in bytes` (-1: not a plain file).

    What lies beside the listed files and is ignored, such as an unlisted README.md, is no problem.
    """
    paths = [file.path for file in _listed(manifest)]
    own = set(paths)
    sizes = {path: size for path, size in sizes.items() if path in own or not _BESIDE.fullmatch(path)}
    if max(len(paths), len(sizes)) > MAX_FILES:
        what = f"the manifest lists {len(paths)} files" if len(paths) > MAX_FILES else f"it has over {MAX_FILES} files"
        return [f"{what}, a bundle has at most {MAX_FILES}"]
    for path in (*paths, *sizes):
        check_path(path)
    times = Counter(path.casefold() for path in paths)
    listed = {file.path: file.size_bytes for file in _listed(manifest)}
    present = {path: size for path, size in sizes.items() if path not in (MANIFEST, SIGNATURE)}
    found = {
        "listed twice": {path for path in paths if times[path.casefold()] > 1},
        "listed, but never allowed": {MANIFEST, SIGNATURE} & set(listed),
        "not a plain file": {path for path, size in sizes.items() if size < 0},
        "missing": set(listed) - set(present),
        "extra": set(present) - set(listed),
        "chosen, but no artifact": {c.path for c in manifest.choices} - {a.path for a in manifest.artifacts},
    }
    words = [f"{kind}: {', '.join(sorted(paths))}" for kind, paths in found.items() if paths]
    resized = [path for path in sorted(listed) if 0 <= present.get(path, -1) != listed[path]]
    return words + [f"{path} has {present[path]} bytes, the manifest says {listed[path]}" for path in resized]


def _unfit(root: Path) -> str:
    """Why a path is no bundle's, in words; "" where it may be one. Raises OSError."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if stat.S_ISREG((root / MANIFEST).stat().st_mode):
            return ""
    return "has no manifest.json" if root.is_dir() else "is not a directory" if root.exists() else "does not exist"


def _is_packed(root: Path) -> bool:
    """Whether a file begins as `edgewright.bundle.packing.pack` has it: with the name of the manifest."""
    try:
        with plain(root) as file:
            return file.read(len(MANIFEST) + 1) == f"{MANIFEST}\0".encode()
    except OSError:
        return False


def _unreadable(root: Path, error: Exception) -> BundleError:
    where = getattr(error, "filename", None) or root
    denied = isinstance(error, PermissionError)
    hint = "let this user read it, or run as the one who may" if denied else "give the directory of a bundle"
    return BundleError(f"cannot read {where}: {getattr(error, 'strerror', None) or error}", hint=hint)


def _pointers(root: Path, manifest: Manifest) -> bool:
    """Whether a listed file is what git-lfs leaves in its place."""
    return any(is_lfs_pointer(root / file.path) for file in _listed(manifest))


def _raise(error: OSError) -> None:
    raise error


def _listed(manifest: Manifest) -> Iterable[Artifact | File]:
    return (*manifest.artifacts, *manifest.files)


def _sizes(root: Path) -> dict[str, int]:
    """Every file below `root` with its size; links and other odd things count as -1. Not all, of too many.

    Raises:
        OSError: a directory may not be read.
    """
    found: dict[str, int] = {}
    for folder, folders, files in os.walk(root, onerror=_raise):
        if len(found) > MAX_FILES:
            break
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in _ASIDE]
        for name in [*files, *(f for f in folders if Path(folder, f).is_symlink())]:
            path = Path(folder, name)
            facts = path.lstat()
            plain = stat.S_ISREG(facts.st_mode)
            found[path.relative_to(root).as_posix()] = facts.st_size if plain else -1
    return found
