"""The task metric of a bundle's artifacts on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgewright import data
from edgewright.bundle import Bundle
from edgewright.engines import runnable
from edgewright.manifest import Score
from edgewright.pipeline import Pipeline, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.manifest import Artifact
    from edgewright.tasks import Example

__all__ = ["evaluate"]


def evaluate(
    bundle: Bundle | str | Path,
    labelled: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    precision: str | None = None,
    threads: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> list[tuple[Artifact, Score]]:
    """Score every artifact of a bundle, or those of one format or precision, on a TSV or JSONL file.

    Artifacts that no installed engine opens are left out, unless their format is asked for.

    Raises:
        BundleError: the bundle is bad or holds no such artifact.
        DataError: the data file is bad.
        MissingExtra: no engine for any of the artifacts is installed.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    opened.choose(format=format, precision=precision)
    here = {format} if format else set(runnable(opened)) or {a.format for a in opened.manifest.artifacts}
    rows: list[tuple[Artifact, Score]] = []
    examples: list[Example] = []
    for artifact in opened.manifest.artifacts:
        if artifact.format in here and precision in (None, artifact.precision):
            pipeline = load(opened, format=artifact.format, precision=artifact.precision, threads=threads)
            examples = examples or data.examples(Path(labelled), pipeline.task)
            progress(f"{artifact.key}: {len(examples)} rows")
            rows.append((artifact, _score(pipeline, examples, Path(labelled).name)))
    return rows


def _score(pipeline: Pipeline, examples: Sequence[Example], name: str) -> Score:
    task = pipeline.task
    value = task.metric_of(pipeline(task.items(examples)), examples)
    return Score(metric=task.metric, value=value, n=len(examples), data=name)
