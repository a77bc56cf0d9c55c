"""Commands on a device without Python: what `--device` asks of it, done here but for the inferences.

The rows are those of the same commands on any other board.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.boards.native.release import ENGINE, NativeBundle
from edgewright.boards.remote import Answer, identity
from edgewright.bundle import manifest
from edgewright.bundle.bundle import MANIFEST, Bundle
from edgewright.errors import DeviceError, UsageError
from edgewright.proof.likelihood import held_out
from edgewright.proof.score import Evaluation, score_all, score_decoder
from edgewright.tasks import check_asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgewright.bundle.manifest import Artifact
    from edgewright.proof.score import Scored

__all__ = ["native_answer", "native_release"]

_OF_CHATS = ("system", "raw", "stats")
"""Options of `edgewright run` that say how a decoder is asked."""


def native_release(board: Any, bundle: str | Path, scratch: Path) -> tuple[str, NativeBundle]:
    """Where the active release lies on a device, and what of it is brought to `scratch`: all but its artifacts.

    Raises:
        BundleError: it is not the bundle that is meant, or not what its manifest says.
        DeviceError: nothing is installed there, or it cannot be read.
    """
    folder: str = board.active(*identity(bundle))
    try:
        board.machine().fetch(folder, scratch)
    except OSError as error:
        what = f"cannot read the active release: {error.strerror} ({error.filename or folder})"
        raise DeviceError(what, hint="run: edgewright status URL") from error
    record = manifest.decode((scratch / MANIFEST).read_bytes(), manifest.Manifest, MANIFEST)
    opened = Bundle(scratch, record)
    others = {path for artifact in record.artifacts for path in opened.parts(artifact)}
    opened.checking([file.path for file in record.files if file.path not in others])()
    return folder, NativeBundle(opened, board.starts(folder))


def native_answer(board: Any, bundle: str, command: str, given: Mapping[str, Any]) -> Answer:
    """What a command on a device without Python answers; `given` are its options by their Python names.

    Raises:
        UsageError: no such command there.
        EdgewrightError: as the command does.
    """
    commands = {"run": _run, "verify": _verify, "eval": _eval}
    if command not in commands:
        raise UsageError(
            f"{command} does not work on a device without Python", hint=f"{', '.join(commands)} and bench do"
        )
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        return commands[command](_Native(board, *native_release(board, bundle, Path(scratch)), given))


@dataclass(frozen=True)
class _Native:
    """A command at work: the board, where its active release lies, that release, and the options."""

    board: Any
    folder: str
    release: NativeBundle
    given: Mapping[str, Any]

    def artifacts(self) -> list[Artifact]:
        """Those that the options ask for."""
        return self.release.artifacts(self.given["format_"], self.given["precision"])


def _run(there: _Native) -> Answer:
    from edgewright.data.rows import items

    given, artifact = there.given, there.artifacts()[0]
    if given["engine"] not in (None, ENGINE):
        raise UsageError(f"engine {given['engine']} was asked, a runner has {ENGINE}")
    path, pair = given["input_"], given["pair"]
    texts = given["texts"] or items(None if path == "-" else Path(path))
    task = there.release.bundle.task()
    written = (*(given[name] for name in ("generation", *_OF_CHATS)), given["context"] is not None)
    check_asked(task, written=written, paired=(pair, given["query"]))
    if task.generates:
        return _written(there, artifact, texts)
    with there.release.start(artifact, given["threads"] or 1) as talk:
        opened = there.release.pipeline(artifact, there.release.opened(talk).session)
        pipeline = opened.asking(**given.get("answers", {}))
        asked = texts if pair is None else ({"text": text, "text_pair": pair} for text in texts)
        if given["query"] is not None:
            asked = iter([{"query": given["query"], "texts": list(texts)}])
        return Answer({"rows": list(map(pipeline.row, asked))}, {})


def _written(there: _Native, artifact: Artifact, texts: Iterable[Any]) -> Answer:
    """Of a decoder; the options of an answer are those that `edgewright run` read."""
    given, threads = there.given, there.given["threads"] or 1
    asked = {name: given[name] for name in _OF_CHATS}
    with there.release.start(artifact, threads) as talk:
        writer = there.release.generator(artifact, talk, threads=threads, context=given["context"])
        rows = list(writer.rows(texts, **asked, **given["generation"], **given["answers"]))
    return Answer({"rows": rows}, {})


def _verify(there: _Native) -> Answer:
    problem = there.board.problem(there.folder)
    if problem:
        raise DeviceError(f"the active release is not whole: {problem}", hint="run: edgewright rollback URL")
    replays = there.release.verify(quick=there.given["quick"])
    return Answer({"rows": [replay.record() for replay in replays]}, {})


def _eval(there: _Native) -> Answer:
    given, rows = there.given, []
    if given["cost"]:
        raise UsageError("--cost does not work on a device without Python", hint="bench measures there")
    for artifact in there.artifacts():
        with there.release.start(artifact, given["threads"]) as talk:
            scored = _scored(there, artifact, talk)
        rows += Evaluation(artifact, scored, artifact.total_bytes).rows(given["threads"])
    return Answer({"rows": rows}, {})


def _scored(there: _Native, artifact: Artifact, talk: Any) -> tuple[Scored, ...]:
    given, release = there.given, there.release
    path = Path(given["data"])
    if release.bundle.task().generates:
        most = release.bundle.manifest.settings.max_length
        held = held_out(path, given["metric"], release.bundle.tokenizer(), most)
        return score_decoder(release.decoder(talk), held, path.name)
    pipeline = release.pipeline(artifact, release.opened(talk).session)
    return score_all(pipeline.asking(**given.get("answers", {})), path, given["metric"])
