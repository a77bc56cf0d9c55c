"""Search: which student and which recipe give the best score for the latency and the size of their artifact."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright._version import __version__
from edgewright.compression.steps import Setting
from edgewright.data import rows
from edgewright.errors import StorageError, UsageError
from edgewright.model.source import open_source
from edgewright.searching.front import Limits, Trial, front, winner
from edgewright.searching.page import page
from edgewright.searching.space import Space
from edgewright.searching.trial import bits_of, make, measure
from edgewright.system.files import unwritten, write_whole
from edgewright.system.progress import silent
from edgewright.system.shown import brief, table_of
from edgewright.training.answers import cache_dir
from edgewright.training.hush import hush

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.model.source import Source
    from edgewright.searching.space import Point
    from edgewright.searching.trial import Found

__all__ = ["SAMPLERS", "Result", "search"]

SAMPLERS = ("model", "tpe", "nsga2", "random")

_RECORD = "search.json"


@dataclass(frozen=True)
class Result:
    """What a search has found.

    Attributes:
        directory: with `search.html`, `search.json` and `recipe.toml`.
        trials: of the study, of all its processes.
        front: those that no other beats, best score first.
        winner: the one whose recipe was written.
        artifact: what the winner was measured as, such as `onnx/int8`.
        infeasible: combinations that were left out, by reason.
    """

    directory: Path
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    winner: Trial
    artifact: str
    infeasible: dict[str, int]

    def __repr__(self) -> str:
        front = f"{len(self.front)} of {len(self.trials)} trials on the front"
        return brief(self, self.directory.name, front, f"winner {self.winner.number}", f"as {self.artifact}")

    def _repr_html_(self) -> str:
        return table_of([trial.cells() for trial in self.front])


def search(
    model: str | Path,
    space: str | Path,
    train: str | Path,
    dev: str | Path,
    out: str | Path,
    *,
    storage: str | Path,
    trials: int = 30,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    task: str | None = None,
    sampler: str = "model",
    device: str = "local",
    seed: int = 0,
    threads: int = 0,
    cache: str | Path | None = None,
    progress: Callable[[str], None] = silent,
) -> Result:
    """Search a space. The same call goes on with a study that was interrupted, and joins one that is running.

    Args:
        model: what the recipes begin with, and the teacher of those that distil: a directory or hub id.
        space: a TOML file, see `edgewright.searching.space`.
        train: labelled rows to train on.
        dev: other labelled rows, which score.
        out: the directory for the page, the record and the winner's recipe; it may hold those of an earlier search.
        storage: a file, or a URL of a data base that several machines reach.
        trials: how many the study shall have, of all processes together.
        limits: on the winner; without any it is the knee of the front.
        task: by default that of the saved architecture.
        sampler: one of `SAMPLERS`.
        device: where latency is measured; `local` is this machine.
        seed: of the sampler, and of everything random in a trial.
        threads: of torch; 0 for its own choice.
        cache: where a teacher's answers are kept, by default in the user's cache directory.
        progress: called with a phrase now and then.

    Raises:
        UsageError: a space that cannot be, with its line.
        StorageError: the storage holds a study of another space, model or data; or the disk is full.
        GateFailed: no trial came to its end, or none is within the limits; the page is written nevertheless.
        SourceError, DataError, MissingExtra: before anything begins.
    """
    registry.require(("torch", "transformers", "accelerate"), "train")
    registry.require(("optuna",), "search")
    hush()
    _check(trials, sampler, device, Path(out))
    source = open_source(model, task=task)
    setting = Setting(
        source.directory, Path(train), Path(dev), Path(cache) if cache else cache_dir(), seed, threads, progress
    )
    found = Space.read(Path(space), source, setting)
    from edgewright.searching._study import Study

    study = Study(str(storage), found, _facts(found, source, setting, device), sampler=sampler, seed=seed)
    work = Path(out).with_name(f"{Path(out).name}-trials")
    study.run(trials, _Workshop(source, found, setting, work), progress)
    return _written(Path(out), found, study.trials(), limits)


def _check(trials: int, sampler: str, device: str, out: Path) -> None:
    if trials < 1:
        raise UsageError(f"{trials} trials are asked, at least 1 is needed")
    if sampler not in SAMPLERS:
        raise UsageError(f"unknown sampler {sampler!r}", hint=f"choose from {', '.join(SAMPLERS)}")
    if device != "local":
        raise UsageError(f"latency is measured on this machine alone, not on {device}", hint="run the search there")
    if out.exists() and not (out / _RECORD).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out} exists and holds no {_RECORD}", hint="choose another place")


def _facts(space: Space, source: Source, setting: Setting, device: str) -> dict[str, str]:
    """What tells a study from others. All rows are read here: broken ones end the search, not each trial."""
    facts = {"space": space.sha256[:16], "model": source.sha256()[:16], "task": source.task, "device": device}
    task = registry.load("tasks", source.task)(source.settings)
    for name, path in zip(("data", "eval"), setting.rows("search"), strict=True):
        for _ in rows.stream(path, task):
            pass
        facts[name] = rows.fingerprint(path)[:16]
    return facts


@dataclass(frozen=True)
class _Workshop:
    """Makes and measures points, each in a directory that its own choices name: whoever tries it again finds it."""

    source: Source
    space: Space
    setting: Setting
    work: Path

    def __call__(self, point: Point, watch: Any) -> Found:
        asked = self.space.measure(point)
        work = self.work / hashlib.sha256(f"{self.space.sha256} {point} {self.setting.seed}".encode()).hexdigest()[:16]
        try:
            made = make(self.source, self.space.recipe(point), work, self.setting, watch, bits_of(asked))
            found = measure(made, asked, work, self.setting)
        except OSError as error:
            raise unwritten(work, error) from error
        except Exception:  # whatever it is, it will be the same again
            shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)
        return found


def _written(out: Path, space: Space, trials: list[Trial], limits: Limits) -> Result:
    """Page, record and recipe. Raises GateFailed where there is no winner, after the first two are written."""
    best: Trial | None = None
    try:
        best = winner(trials, limits)
    finally:
        record = {
            "edgewright": __version__,
            "winner": best.number if best else None,
            "front": [trial.number for trial in front(trials)],
            "infeasible": space.infeasible,
            "trials": [asdict(trial) for trial in trials],
        }
        _put(out, _RECORD, json.dumps(record, indent=1) + "\n")
        _put(out, "search.html", page(trials, best, space.infeasible, limits))
    asked = space.measure(best.point)
    artifact = f"{asked.format}/{asked.precision}"
    words = f"# trial {best.number}: {best.score:.2f} % after the short run, {best.latency_ms:.3g} ms as {artifact}\n"
    _put(out, "recipe.toml", f"{words}\n{space.toml(best.point)}")
    return Result(out, tuple(trials), tuple(front(trials)), best, artifact, space.infeasible)


def _put(out: Path, name: str, text: str) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}", hint="choose another place") from error
    write_whole(out / name, text.encode())
