"""Bundles on a model hub, by the hub's own client, or in a directory that stands for one, such as a share or a stick.

What is pushed is what the manifest lists, and nothing else; what is pulled has the hashes that the manifest says, or is
not there at all.
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.bundle.manifest import Manifest, decode
from edgewright.errors import BundleError, EdgewrightError, HubError, UsageError
from edgewright.system.atomic import staged
from edgewright.system.files import plain, read_capped
from edgewright.system.progress import silent
from edgewright.system.untrusted import MAX_FILES, MAX_JSON_BYTES, MAX_SIGNATURE_BYTES, check_path
from edgewright.system.words import counted, human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edgewright.bundle.manifest import Artifact, File

__all__ = ["pull", "push"]

_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}")
"""Owner and name, each as the hub takes it (huggingface_hub.utils.validate_repo_id)."""
_KEPT = re.compile(r"\.gitattributes|README\.md|LICENSE[^/]*")
"""What stays in a repository though the bundle does not list it."""
_CLIENTS_OWN = ".cache"
"""Where `hf_hub_download(local_dir=...)` keeps its own notes."""


def push(
    bundle: Bundle | str | Path,
    to: str | Path,
    *,
    private: bool = False,
    revision: str | None = None,
    progress: Callable[[str], None] = silent,
) -> str:
    """Put a bundle into a repository of a model hub, in one commit, after every hash has been checked.

    Files of an earlier bundle that this one does not list go. A repository that holds something else is left alone.

    Args:
        bundle: a bundle or its directory.
        to: `owner/name` on the hub at $HF_ENDPOINT, or a directory, one that is there or begins with `/`, `.` or `~`.
        private: make the repository a private one, where it is made.
        revision: the branch; by default `main`.
        progress: called with a short phrase at each stage.

    Returns:
        The address of the commit, or the directory.

    Raises:
        BundleError: the bundle is not what its manifest says.
        HubError: the hub cannot be reached, refuses, or has something else under that name.
        MissingExtra: huggingface_hub is not installed.
    """
    opened = Bundle.of(bundle)
    progress("check every hash")
    opened.check_hashes()
    if (directory := _directory(to)) is not None:
        return str(_copied(opened, directory, progress))
    api, repo = _api(), str(to)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    paths = _paths(opened)
    with _narrowed(repo):
        progress(f"ask {api.endpoint} for {repo}")
        api.create_repo(repo, private=private or None, exist_ok=True)
        there = set(api.list_repo_files(repo, revision=revision))
        strangers = sorted(path for path in there if not _KEPT.fullmatch(path))
        if strangers and MANIFEST not in there:
            what = f"{repo} holds no bundle, but {len(strangers)} other files such as {strangers[0]}"
            raise HubError(what, hint="they are left alone; choose another name")
        size = sum((opened.directory / path).stat().st_size for path in paths)
        progress(f"send {counted(len(paths), 'file')}, {human(size)}")
        operations: list[Any] = [CommitOperationAdd(path, str(opened.directory / path)) for path in paths]
        operations += [CommitOperationDelete(path) for path in strangers if path not in paths]
        message = f"edgewright push: {opened.manifest.summary}, version {opened.manifest.version}"
        return str(api.create_commit(repo, operations, commit_message=message, revision=revision).commit_url)


def pull(
    repo: str | Path,
    out: str | Path,
    *,
    revision: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Bundle:
    """Fetch a bundle from a model hub, or from a directory that stands for one; its hashes are checked on the way.

    Args:
        repo: as `to` of `push`; with other things beside the bundle's files, which are not fetched.
        out: the directory to write, which appears whole or not at all.
        revision: a branch, a tag or a commit; by default `main`.
        force: replace a bundle that is at `out` already.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: what is there is no bundle, or not what its manifest says.
        HubError: the hub cannot be reached, or has no such repository.
        StorageError: `out` exists, or cannot be written.
        MissingExtra: huggingface_hub is not installed.
    """
    directory = _directory(repo)
    api = None if directory else _api()
    with staged(Path(out), marker=MANIFEST, force=force) as work:
        if directory is not None:
            _copy(Bundle.open(directory), work, progress)
        else:
            with _narrowed(str(repo)):
                _fetch(api, str(repo), revision, work, progress)
        progress("check every hash")
        Bundle.open(work).check_hashes()
    return Bundle.open(out)


def _directory(where: str | Path) -> Path | None:
    """The directory that an address names; None for a hub's. Raises UsageError where it is neither."""
    path = Path(where).expanduser()
    if not isinstance(where, str) or (where and path.is_dir()) or where.startswith(("/", ".", "~")):
        return path
    if _REPO.fullmatch(where):
        return None
    hint = "give owner/name of a hub, or a directory that begins with / or ./"
    raise UsageError(f"{where!r} is no repository of a hub, and no directory that is here", hint=hint)


def _paths(bundle: Bundle) -> list[str]:
    """The manifest, its signature, and every file that it lists."""
    signed = [SIGNATURE] if (bundle.directory / SIGNATURE).is_file() else []
    listed: list[Artifact | File] = [*bundle.manifest.artifacts, *bundle.manifest.files]
    return [MANIFEST, *signed, *sorted(one.path for one in listed)]


def _copied(bundle: Bundle, to: Path, progress: Callable[[str], None]) -> Path:
    """A copy of a bundle at `to`, in the place of the one that is there."""
    with staged(to, marker=MANIFEST, force=True) as work:
        _copy(bundle, work, progress)
        Bundle.open(work).check_hashes()
    return to


def _copy(bundle: Bundle, work: Path, progress: Callable[[str], None]) -> None:
    for path in _paths(bundle):
        progress(f"copy {path}")
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        with plain(bundle.directory / path) as source, (work / path).open("xb") as target:
            shutil.copyfileobj(source, target)


def _fetch(api: Any, repo: str, revision: str | None, work: Path, progress: Callable[[str], None]) -> None:
    """Fetch the manifest, and what it lists, all of one commit."""
    progress(f"ask {api.endpoint} for {repo}")
    about = api.repo_info(repo, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size for file in about.siblings or ()}
    if MANIFEST not in sizes:
        hint = "it was not pushed by edgewright; a model to build from is fetched by: edgewright build OWNER/NAME"
        raise BundleError(f"{repo} has no {MANIFEST}", hint=hint)

    def get(path: str) -> None:
        api.hf_hub_download(repo, path, revision=about.sha, local_dir=work)

    for path, most in ((MANIFEST, MAX_JSON_BYTES), (SIGNATURE, MAX_SIGNATURE_BYTES)):
        if path in sizes:
            _check_size(path, sizes[path], most)
            get(path)
    record = decode(read_capped(work / MANIFEST, MAX_JSON_BYTES), Manifest, MANIFEST)
    listed = {check_path(one.path): one.size_bytes for one in (*record.artifacts, *record.files)}
    _check_listed(repo, listed, sizes)
    for at, (path, size) in enumerate(sorted(listed.items()), start=1):
        progress(f"fetch {path}, {human(size)}, {at} of {len(listed)}")
        get(path)
    shutil.rmtree(work / _CLIENTS_OWN, ignore_errors=True)


def _check_listed(repo: str, listed: Mapping[str, int], sizes: Mapping[str, int | None]) -> None:
    """Raise BundleError for what is missing there or has another size, before anything large is fetched."""
    if len(listed) > MAX_FILES:
        raise BundleError(f"{repo}: the manifest lists {len(listed)} files, a bundle has at most {MAX_FILES}")
    missing = sorted(set(listed) - set(sizes))
    if missing:
        raise BundleError(f"{repo} lacks {', '.join(missing[:3])}", hint="push the bundle again")
    for path, size in listed.items():
        if sizes[path] not in (None, size):
            raise BundleError(f"{repo}: {path} has {sizes[path]} bytes, the manifest says {size}", hint="push it again")


def _check_size(path: str, size: int | None, most: int) -> None:
    if size is not None and size > most:
        raise BundleError(f"{path} has {size} bytes, at most {most} are read")


def _api() -> Any:
    """The hub's own client, at $HF_ENDPOINT; with the token of $HF_TOKEN, or of `hf auth login`."""
    registry.require(("huggingface_hub",), "hub")
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(library_name="edgewright")


@contextmanager
def _narrowed(repo: str) -> Iterator[None]:
    """Turn what the client raises into our error, with what to do next; a disk's own errors stay what they are."""
    try:
        yield
    except EdgewrightError:
        raise
    except Exception as error:
        if (
            isinstance(error, OSError)
            and type(error).__module__ == "builtins"
            and not isinstance(error, ConnectionError)
        ):
            raise
        raise _hub_error(repo, error) from error


def _hub_error(repo: str, error: Exception) -> HubError:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled, RevisionNotFoundError

    hub = constants.ENDPOINT
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OfflineModeIsEnabled):
        return HubError("HF_HUB_OFFLINE is set, so no hub is asked", hint="unset it, or give a directory")
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{repo} has no such revision at {hub}", hint="a branch, a tag or a commit that is there")
    if status in (401, 403, 404):
        hint = "is the name right, and may your token do this? log in with `hf auth login`, or set HF_TOKEN"
        return HubError(f"{hub} answers {status} for {repo}", hint=hint)
    if status:
        return HubError(f"{hub} answers {status} for {repo}: {error}", hint="try again later")
    hint = "is there a network? HF_ENDPOINT names another hub, and a directory serves as well"
    return HubError(f"cannot reach {hub} for {repo}: {type(error).__name__}: {error}", hint=hint)
