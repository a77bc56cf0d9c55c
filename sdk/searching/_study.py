"""A study in Optuna's storage, which many processes and machines may share, and which goes on where it was killed."""

from __future__ import annotations

import json
import time
import warnings
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, TrialPruned
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from edgewright.errors import ConnectionLost, EdgewrightError, MissingExtra, StorageError, one_line
from edgewright.searching._sampler import Untried, distributions, is_taken, point_of
from edgewright.searching.front import Trial
from edgewright.searching.halving import verdict
from edgewright.searching.process import is_dead, this_process
from edgewright.searching.trial import Cost
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from optuna.trial import FrozenTrial

    from edgewright.searching.space import Point, Space
    from edgewright.searching.trial import Found

    Watch = Callable[[Cost, int, int, int, float], None]
    Evaluate = Callable[[Point, Watch], Found]

__all__ = ["Study"]

_NAME = "edgewright"
_FATAL = (MissingExtra, StorageError, ConnectionLost)
_RETRIES = 2
"""A trial that has ended three processes would end a fourth."""
_OPENINGS = 20
"""A choice: processes that make the same file at once get out of each other's way within some tries."""
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.RUNNING: "running"}


class _GivenBack(Exception):
    """Another process has this point, or the study has its trials."""


class _Failed(Exception):
    """The trial came to an end, with a reason that is recorded."""


class Study:
    """One study, as one process sees it.

    Args:
        storage: a file, for SQLite, or a URL that SQLAlchemy knows; empty for memory, which nothing shares or outlives.
        space: what is searched.
        facts: what tells this study from others; each process must bring the same.
        sampler: see `edgewright.searching._sampler.Untried`.
        seed: of the sampler.
        heartbeat_s: how often a trial says that its process lives; after four times that it is taken for dead.

    Raises:
        StorageError: the storage cannot be opened, or holds a study of something else.
    """

    def __init__(
        self, storage: str, space: Space, facts: Mapping[str, str], *, sampler: str, seed: int, heartbeat_s: int = 30
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        self._space, self._storage, self._heartbeat_s = space, storage, heartbeat_s
        self._running: Point | None = None
        with _storage_errors(storage, ImportError, RuntimeError):  # no driver; tables of another version
            self._study = self._opened(Untried(sampler, space.choices, space.points, seed))
            self._check(facts)

    def _opened(self, sampler: Untried) -> Any:
        """The study; several processes may be creating it at this very moment."""
        ways = ["maximize", "minimize", "minimize"]
        if not self._storage:
            return optuna.create_study(sampler=sampler, directions=ways)
        url, engine = self._storage, {}
        if "://" not in url:
            url, engine = f"sqlite:///{Path(url).absolute()}", {"connect_args": {"timeout": 60}}
        for attempt in range(_OPENINGS):
            try:
                with _quiet():
                    kept = RDBStorage(
                        url,
                        engine_kwargs=engine,
                        heartbeat_interval=self._heartbeat_s,
                        grace_period=4 * self._heartbeat_s,
                        heartbeat_stale_trial_callback=self._again,
                    )
                return optuna.create_study(
                    storage=kept, study_name=_NAME, sampler=sampler, directions=ways, load_if_exists=True
                )
            except (SQLAlchemyError, StorageInternalError):
                if attempt + 1 == _OPENINGS or "://" in self._storage:
                    raise
                time.sleep(0.1)
        raise AssertionError

    def _check(self, facts: Mapping[str, str]) -> None:
        if not self._study.user_attrs:
            for name, value in facts.items():
                self._study.set_user_attr(name, value)
        was = self._study.user_attrs
        other = [f"{name} was {was.get(name, 'not given')}, is {value}" for name, value in facts.items()
                 if was.get(name) != value]  # fmt: skip
        if other:
            what = f"{self._storage} holds a study of something else: {'; '.join(other)}"
            raise StorageError(what, hint="give another --storage, or what it was begun with")

    def run(self, trials: int, evaluate: Evaluate, progress: Callable[[str], None] = silent) -> None:
        """Take trials until the study has so many, of all processes together, or all points are tried.

        Args:
            trials: that came to an end, whatever it was.
            evaluate: makes and measures a point; it tells of evaluations, and what that raises ends it.
            progress: called with a phrase now and then.

        Raises:
            MissingExtra, StorageError, ConnectionLost: what would end every other trial too.
        """
        waited_s = 0.0
        with _storage_errors(self._storage):
            while True:
                self._bury()
                known = self._study.get_trials(deepcopy=False)
                taken = sum(map(is_taken, known))
                waiting = any(trial.state == TrialState.WAITING for trial in known)
                if waiting or taken < min(trials, len(self._space.points)):
                    progress(f"trial {taken + (not waiting)} of {trials}")
                    self._one(trials, evaluate)
                    waited_s = 0.0
                elif waited_s > 5 * self._heartbeat_s or all(one.state.is_finished() for one in known):
                    return
                else:  # another process is at the last ones: it ends them, or is found to be dead
                    progress("wait for trials of other processes")
                    time.sleep(pause_s := min(1.0, self._heartbeat_s / 2))
                    waited_s += pause_s

    def _one(self, trials: int, evaluate: Evaluate) -> None:
        self._running = None
        try:
            self._study.optimize(
                lambda trial: self._objective(trial, trials, evaluate), n_trials=1, catch=(_GivenBack, _Failed)
            )
        except ValueError as error:  # somebody took this process for dead, and gave its trial to another one
            if "Cannot tell a" not in str(error):
                raise
        except BaseException:
            self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Queue the point that this process leaves unfinished."""
        if self._running is not None:
            self._add(self._running, TrialState.WAITING)

    def _objective(self, trial: Any, trials: int, evaluate: Evaluate) -> tuple[float, float, float]:
        trial.set_user_attr("by", this_process())
        for name, kind in distributions(self._space.choices).items():
            trial._suggest(name, kind)  # noqa: SLF001 - what its public ones do, whatever the kind
        point = self._claimed(trial, trials)
        self._running = point
        trial.set_user_attr("values", json.dumps(self._space.values(point)))
        try:
            found = evaluate(point, lambda *given: self._watch(trial, *given))
        except (TrialPruned, *_FATAL):
            raise
        except Exception as error:
            known = isinstance(error, EdgewrightError)
            trial.set_user_attr("reason", one_line(str(error) if known else f"{type(error).__name__}: {error}"))
            raise _Failed from error
        trial.set_user_attr("facts", asdict(found))
        return found.score, found.latency_ms, found.size_bytes

    def _claimed(self, trial: Any, trials: int) -> Point:
        """The point of a trial, if it is this process's to make.

        A process looks after it has written its own point, so that of two with the same one the later sees the other;
        should both, then both give it back, and draw again.
        """
        point = tuple(int(trial.params[choice.name]) for choice in self._space.choices)
        others = [one for one in self._study.get_trials(deepcopy=False) if one.number != trial.number and is_taken(one)]
        same = any(point_of(one.params, self._space.choices) == point for one in others)
        if same or sum(one.number < trial.number for one in others) >= trials:
            raise _GivenBack
        return point

    def _watch(self, trial: Any, cost: Cost, at: int, step: int, steps: int, score: float) -> None:
        """Take down a score, and end the trial if it is hopeless."""
        if not 0 < step < steps:
            return
        rung = f"{step / steps:.2f} of step {at}"
        trial.set_user_attr("cost", asdict(cost))
        trial.set_user_attr("rungs", {**trial.user_attrs.get("rungs", {}), rung: score})
        others = [
            (Cost(**one.user_attrs["cost"]), one.user_attrs["rungs"])
            for one in self._study.get_trials(deepcopy=False)
            if one.number != trial.number and is_taken(one) and "rungs" in one.user_attrs
        ]
        reason = verdict(rung, score, cost, others)
        if reason:
            trial.set_user_attr("reason", reason)
            raise TrialPruned

    def _bury(self) -> None:
        """Give away the trials of processes that are dead: by their heartbeat, and here at once by their number."""
        with _quiet():
            fail_stale_trials(self._study)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_dead(trial.user_attrs.get("by", "")):
                try:
                    self._study.tell(trial.number, state=TrialState.FAIL)
                except ValueError:  # another process was faster
                    continue
                self._again(self._study, trial)

    def _again(self, _: Any, trial: FrozenTrial) -> None:
        """Queue the point of a trial whose process died; one that has killed three processes is not tried again."""
        point = point_of(trial.params, self._space.choices)
        if point is None:
            return
        retries = trial.user_attrs.get("retries", 0) + 1
        if retries <= _RETRIES:
            self._add(point, TrialState.WAITING, retries=retries)
        else:
            self._add(point, TrialState.FAIL, reason=f"the process died in each of {retries} attempts")

    def _add(self, point: Point, state: TrialState, **facts: Any) -> None:
        kinds = distributions(self._space.choices)
        params = dict(zip(kinds, point, strict=True))
        facts["values"] = json.dumps(self._space.values(point))
        self._study.add_trial(create_trial(state=state, params=params, distributions=kinds, user_attrs=facts))

    def trials(self) -> list[Trial]:
        """The trials that count, by their numbers."""
        found = []
        for one in self._study.get_trials(deepcopy=False):
            point, attrs = point_of(one.params, self._space.choices), one.user_attrs
            if point is None or not is_taken(one) or one.state == TrialState.WAITING:
                continue
            score, latency_ms, size = one.values if one.state == TrialState.COMPLETE else (None, None, None)
            found.append(
                Trial(
                    number=one.number,
                    state=_STATES.get(one.state, "failed"),
                    values=self._space.values(point),
                    point=point,
                    reason=attrs.get("reason", ""),
                    score=score,
                    latency_ms=latency_ms,
                    size_bytes=None if size is None else int(size),
                    facts=attrs.get("facts"),
                )
            )
        return found


@contextmanager
def _storage_errors(storage: str, *more: type[Exception]) -> Iterator[None]:
    """Narrow what the storage raises, and `more` kinds."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, *more) as error:
        cause = error.__cause__ or error
        words = one_line(str(getattr(cause, "orig", cause)))
        raise StorageError(f"cannot use {storage} as a study's storage: {words}", hint="give a new file") from error


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
