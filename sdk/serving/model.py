"""The model behind a socket: opened whole, and proven before it answers."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.signing import check_placed
from edgewright.errors import BundleError, DataError, EdgewrightError, UsageError
from edgewright.inference.decoding import prove_translator
from edgewright.inference.pipeline import Pipeline, load, printable
from edgewright.system.untrusted import strict_json
from edgewright.tasks import check_at_once

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.contracts.precision import Precision
    from edgewright.generation.translator import Translator

__all__ = ["Model", "items_of", "open_model", "parsed"]

_SEND = 'send {"texts": ["...", {"text": "...", "text_pair": "..."}]} or {"health": true}, in one line'
"""What a request is."""
_TRIES = 3
"""The release may be switched while it is opened; three switches in a row are no accident."""
_PRECISE: tuple[Precision, ...] = ("fp16", "fp32")
"""What TensorRT makes engines of, the faster one first; it takes no integers of ours."""


@dataclass
class Model:
    """A release that is open: what it answers with, and how often it did."""

    bundle: Bundle
    pipeline: Pipeline | Translator
    answered: int = 0
    since_s: float = field(default_factory=time.monotonic)

    def row(self, item: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        """An item's text and answer, or the record of its error: one bad text costs no other its answer."""
        try:
            return self.pipeline.asking(**options).row(item)
        except EdgewrightError as error:
            return {"text": printable(item), "error": error.record()}

    def health(self) -> dict[str, Any]:
        """What is served, after a golden case went through. Raises GateFailed."""
        _prove(self.bundle, self.pipeline, most=1)
        artifact = self.pipeline.artifact
        return {
            "status": "ok",
            "release": self.bundle.directory.name,
            "version": self.bundle.manifest.version,
            "task": self.bundle.manifest.task,
            "artifact": artifact.key if artifact else None,
            "beside": self.pipeline.beside or None,
            "answered": self.answered,
            "uptime_s": round(time.monotonic() - self.since_s, 3),
        }


def open_model(directory: str | Path, options: Mapping[str, Any]) -> Model:
    """Open what a bundle's directory, or a link such as `ROOT/current`, leads to now, and replay its golden cases.

    The link is followed once, so that all files are of one release. `options` are those of `load`.

    Raises:
        BundleError: it is not what its manifest says.
        GateFailed: the engine here gives other outputs than it should.
    """
    for left in reversed(range(_TRIES)):
        place = Path(os.path.realpath(directory))
        try:
            bundle = Bundle.open(place)
            check_placed(bundle)
            if not bundle.task().reads_source:
                check_at_once(bundle.task(), "served at a socket")
            pipeline = load(bundle, **_accelerated(bundle, options))
            _prove(bundle, pipeline)
        except (BundleError, OSError):
            if not left or Path(os.path.realpath(directory)) == place:  # else a flash has switched in between
                raise
        else:
            return Model(bundle, pipeline)
    raise AssertionError


def _prove(bundle: Bundle, pipeline: Pipeline | Translator, *, most: int | None = None) -> None:
    """Replay golden cases. Raises GateFailed."""
    if isinstance(pipeline, Pipeline):
        pipeline.prove(bundle, most=most)
    else:
        prove_translator(bundle, pipeline, most=most)


def _accelerated(bundle: Bundle, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options; on a machine with TensorRT, where nothing is asked and no race chose, those that build an engine."""
    asked = any(options.get(name) for name in ("format", "precision", "engine")) or bundle.choice()
    precise = {a.precision for a in bundle.manifest.artifacts if a.format == "onnx" and a.parity.diverged is None}
    best = next((precision for precision in _PRECISE if precision in precise), None)
    if asked or best is None or not registry.load("runtimes", "tensorrt")().serves():
        return dict(options)
    return {**options, "format": "onnx", "precision": best, "engine": "tensorrt"}


def parsed(line: bytes) -> dict[str, Any]:
    """A request. Raises DataError, UsageError."""
    try:
        tree = strict_json(line, "the request", halves=True)
    except BundleError as error:
        raise DataError(error.message, hint=_SEND) from error
    keys = set(tree) if isinstance(tree, dict) else set()
    if keys not in ({"texts"}, {"texts", "options"}, {"health"}):
        raise UsageError("the request is neither texts nor health", hint=_SEND)
    if not isinstance(tree.get("options", {}), dict):
        raise UsageError(
            "the options of the request are no object", hint='send {"texts": [...], "options": {"top_k": 3}}'
        )
    return tree  # type: ignore[no-any-return]


def items_of(texts: Any, most: int) -> list[Any]:
    """The items of a request: texts, and objects such as {"text", "text_pair"}. Raises DataError."""
    if not isinstance(texts, list):
        raise DataError("texts are no list", hint=_SEND)
    if len(texts) > most:
        raise DataError(f"the request has {len(texts)} texts, at most {most} are answered", hint="split the request")
    return [_item(at, given) for at, given in enumerate(texts)]


def _item(at: int, given: Any) -> Any:
    if isinstance(given, (str, dict)):
        return given
    hint = 'a pair is {"text": "...", "text_pair": "..."}'
    raise DataError(f"texts[{at}] is neither a string nor an object", hint=hint)
