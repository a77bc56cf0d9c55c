"""Commands that run on a board, on its active release: the same command there, its files sent, its answer brought back.

The clock that measures is the board's. Nothing of it stays there, and a command whose host went away is ended.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgewright.boards.agent import PythonBoard
from edgewright.boards.connect import connect
from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.contracts.board import Visit
from edgewright.errors import DeviceError, EdgewrightError, UsageError, from_record, one_line
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from edgewright.contracts.board_answers import Visited
    from edgewright.contracts.transport import Transport

__all__ = ["ACTIVE", "Answer", "Remote", "identity"]

ACTIVE = "-"
"""Instead of a bundle: whatever is active on the board."""

_MAX_SENT_BYTES = 16 * 2**20
"""A choice: 100,000 labelled sentences, packed; it travels within a line of JSON, which both ends hold in memory."""
_MAX_ANSWER_BYTES = 256 * 2**20
"""A choice: 16 times what is sent at most; operators' times and reports pack to some tenths of their size."""
_LINE = re.compile(r"^edgewright: (?:([a-z]+(?:-[a-z]+)+): )?(.*)$", re.MULTILINE)
_PATIENCE_S = 6 * 3600.0
"""A choice: a race or an `eval` of thousands of sentences on a slow board, within a working day."""
_USAGE, _KILLED = 2, (-9, 137)
"""click's exit code; SIGKILL as subprocess tells it, and as a shell does (128 + 9)."""


@dataclass(frozen=True)
class Answer:
    """The JSON object that a command printed, and the files that it wrote, by name."""

    tree: dict[str, Any]
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Remote:
    """A board on which commands run.

    Attributes:
        url: the way to it, see `edgewright.boards.connect.connect`.
        root: where its releases are; by default `~/.local/share/edgewright` there.
        python: its Python that has edgewright; by default that of `flash --install`, or the one that answers.
    """

    url: str
    root: str = ""
    python: str = ""

    @cached_property
    def _way(self) -> Transport:
        """One for all commands: to connect takes as long as a short command."""
        return connect(self.url)

    def ask(
        self,
        bundle: str | Path,
        words: Sequence[str],
        *,
        files: Mapping[str, bytes] | None = None,
        takes: Collection[str] = (),
        timeout_s: float = _PATIENCE_S,
    ) -> Answer:
        """Run `edgewright WORDS` there, which print a JSON object.

        Args:
            bundle: a bundle here, which must be the active release there; or `ACTIVE`.
            words: in them `{bundle}` stands for the release, `{files}` for the directory of the files.
            files: what is sent, by name.
            takes: the names of files to bring back; empty where the command did not write them.
            timeout_s: the most seconds that it may take.

        Raises:
            EdgewrightError: the one that the command there ended with.
            BundleError: another release is active there.
            DeviceError: the board cannot run it, or gave no answer.
        """
        found = self.visit(bundle, words, files=files, takes=takes, timeout_s=timeout_s)
        return Answer(_tree(found.pop("", b"")), found)

    def visit(
        self,
        bundle: str | Path,
        words: Sequence[str],
        *,
        files: Mapping[str, bytes] | None = None,
        takes: Collection[str] = (),
        timeout_s: float = _PATIENCE_S,
        module: str = "edgewright",
    ) -> dict[str, bytes]:
        """As `ask`, by any module of edgewright: the files that it wrote, and under "" what it printed."""
        digest, version = identity(bundle)
        packed = {name: zlib.compress(data) for name, data in (files or {}).items()}
        size = sum(map(len, packed.values()))
        if size > _MAX_SENT_BYTES:
            what = f"{', '.join(packed)}: {size} bytes packed, at most {_MAX_SENT_BYTES} are sent with a command"
            raise UsageError(what, hint="split the file")
        asked = Visit(digest, version, module, tuple(words), self.python, packed, tuple(takes), timeout_s)
        done = PythonBoard(self._way, self.root).answer(asked, within_s=timeout_s + 60)
        if done.exit_code != 0:
            raise _problem(done, self.url)
        return {name: _unpacked(data) for name, data in done.files.items()}


def identity(bundle: str | Path) -> tuple[str, int]:
    """A bundle's hash, as a board names releases, and its version; "" and 0 for `ACTIVE`."""
    if str(bundle) == ACTIVE:
        return "", 0
    opened = Bundle.open(bundle)
    manifest = read_capped(opened.directory / MANIFEST, MAX_JSON_BYTES)
    path = opened.directory / SIGNATURE
    signature = read_capped(path, MAX_SIGNATURE_BYTES) if path.is_file() else b""
    return hashlib.sha256(manifest + b"\0" + signature).hexdigest(), opened.manifest.version


def _unpacked(data: bytes) -> bytes:
    try:
        box = zlib.decompressobj()
        found = box.decompress(data, _MAX_ANSWER_BYTES)
    except zlib.error as error:
        raise DeviceError(f"the board's answer cannot be unpacked: {error}", hint="try again") from error
    if not box.eof:
        raise DeviceError(f"the board's answer is torn, or has more than {_MAX_ANSWER_BYTES} bytes")
    return found


def _tree(printed: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise DeviceError(
            f"the board printed no JSON: {error}", hint="is the edgewright there as new as here?"
        ) from error
    if not isinstance(tree, dict) or not isinstance(tree.get("rows"), list):
        raise DeviceError("the board printed JSON without rows", hint="is the edgewright there as new as here?")
    return tree


def _problem(done: Visited, url: str) -> EdgewrightError:
    """The error that a command on the board ended with."""
    if done.exit_code in _KILLED:
        return DeviceError(f"{url}: the command was killed there", hint="did the board run out of memory?")
    lines = _LINE.findall(done.words)
    if lines:
        code, words = lines[-1]
        kind = code or ("usage-error" if done.exit_code == _USAGE else "")
        return from_record({"code": kind, "message": f"{url}: {words}"}, DeviceError)
    said = next((one_line(line) for line in reversed(done.words.splitlines()) if line.strip()), "not a word")
    hint = (
        "run: edgewright flash BUNDLE URL --install" if "No module named" in said else "is edgewright installed there?"
    )
    return DeviceError(f"{url}: the command ended with exit code {done.exit_code}: {said}", hint=hint)
