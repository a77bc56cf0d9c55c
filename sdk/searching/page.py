"""A search as one page that needs nothing else: the front, the trials behind it, and what became of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.reporting.charts import Point, Series, curves, scatter
from edgewright.reporting.markup import document, section, tiles, wide_table
from edgewright.searching.front import front, hypervolume, objectives
from edgewright.system.markup import tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgewright.searching.front import Limits, Trial
    from edgewright.system.markup import Markup

__all__ = ["page"]

_KINDS = ("winner", "front", "beaten by another trial")
_COLOURS = (1, 0, 6)
"""Of the style sheet, in the order of the kinds: vermilion, blue, and grey for what was beaten."""
_LIMITS = {"max_ms": "at most {:g} ms", "max_mb": "at most {:g} MB", "min_score": "a score of at least {:g} %"}


def page(trials: Sequence[Trial], winner: Trial | None, infeasible: Mapping[str, int], limits: Limits) -> str:
    """The page of a study; without a winner it says what became of its trials."""
    done = [trial for trial in trials if trial.state == "complete"]
    best = front(trials)
    charts = [*_plots(done, best, winner), *_progress(done)] if done else []
    parts = [
        _tiles(trials, best, winner),
        *charts,
        *([section("The front", wide_table([_row(trial, winner) for trial in best]))] if best else []),
        section("Every trial", wide_table([_row(trial, winner, every=True) for trial in trials])) if trials else "",
        _left_out(infeasible),
    ]
    words = ", ".join(_LIMITS[name].format(value) for name, value in vars(limits).items() if value is not None)
    how = f"the best score with {words}" if words else "the knee of the front, as no limit was given"
    return document("Search", tag("p", f"The winner is {how}.", class_="faint"), *parts)


def _tiles(trials: Sequence[Trial], best: Sequence[Trial], winner: Trial | None) -> Markup:
    states = {state: sum(trial.state == state for trial in trials) for state in ("pruned", "failed", "running")}
    facts = {"trials": str(len(trials)), "on the front": str(len(best))}
    facts |= {state: str(count) for state, count in states.items() if count}
    if winner:
        facts |= {
            "winner": f"trial {winner.number}",
            "its score": f"{winner.score:.2f} %",
            "its latency": f"{winner.latency_ms:.3g} ms",
            "its size": f"{(winner.size_bytes or 0) / 1e6:.3g} MB",
        }
    lost = [] if winner else [tag("p", "There is no winner: see the reasons of the trials below.", class_="void")]
    return tag("section", tiles(facts), *lost)


def _plots(done: Sequence[Trial], best: Sequence[Trial], winner: Trial | None) -> list[Markup]:
    def drawn(x: Callable[[Trial], float], size: Callable[[Trial], float], label: str, line: set[int]) -> Markup:
        points = []
        for trial in sorted(done, key=lambda trial: trial in best):
            kind = 0 if trial == winner else 1 if trial in best else 2
            name = f"{trial.number}" if kind < 2 else ""
            note = f"trial {trial.number}: {_words(trial)}"
            points.append(
                Point(x(trial), trial.score or 0, size(trial), name, note, trial.number in line, _COLOURS[kind])
            )
        return scatter(points, label, "score, %")

    words = "{} Numbers are those of trials on the front; the dashed line joins the best of what is drawn."
    found = []
    for title, x, size, note in (
        ("Score and latency", _latency, _size, "Areas follow the sizes of the files."),
        ("Score and size", _size, _latency, "Areas follow the latencies."),
    ):
        line = _outline([(x(trial), trial.score or 0, trial.number) for trial in done])
        chart = drawn(x, size, "median, ms" if x is _latency else "MB", line)
        key = tag("p", *(_key(name, colour) for name, colour in zip(_KINDS, _COLOURS, strict=True)), class_="legend")
        found.append(section(title, key, chart, tag("p", words.format(note), class_="faint")))
    return found


def _latency(trial: Trial) -> float:
    return trial.latency_ms or 0.0


def _size(trial: Trial) -> float:
    return (trial.size_bytes or 0) / 1e6


def _key(name: str, colour: int) -> Markup:
    return tag("span", tag("i", class_=f"c{colour}"), name, class_="key")


def _outline(places: Sequence[tuple[float, float, int]]) -> set[int]:
    """The numbers of those that no other beats in the two that are drawn."""
    kept, highest = set(), float("-inf")
    for _, y, number in sorted(places, key=lambda place: (place[0], -place[1])):
        if y > highest:
            kept.add(number)
            highest = y
    return kept


def _progress(done: Sequence[Trial]) -> list[Markup]:
    """How much of the final front's volume there was after each trial."""
    if len(done) < 2:
        return []
    costs = [objectives(trial) for trial in done]
    worst = tuple(max(column) * 1.01 + 1e-9 for column in zip(*costs, strict=True))
    volumes = [hypervolume(costs[: at + 1], (worst[0], worst[1], worst[2])) for at in range(len(costs))]
    points = tuple((float(at + 1), 100 * volume / (volumes[-1] or 1.0)) for at, volume in enumerate(volumes))
    note = "The hypervolume of the trials so far, against the worst of each objective, in percent of what it is now."
    chart = curves([Series("hypervolume", points)], "trials that were completed", "%")
    return [section("Progress", chart, tag("p", note, class_="faint"))]


def _words(trial: Trial) -> str:
    chosen = ", ".join(f"{name.partition('.')[2]} {value}" for name, value in trial.values.items())
    return f"{chosen}; {trial.score:.2f} %, {trial.latency_ms:.3g} ms, {_size(trial):.3g} MB"


def _row(trial: Trial, winner: Trial | None, *, every: bool = False) -> dict[str, Any]:
    facts = trial.facts or {}
    row: dict[str, Any] = {"trial": f"{trial.number}{', winner' if trial == winner else ''}"}
    row |= {"state": trial.state} if every else {}
    row |= {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in trial.values.items()
    }
    row |= {
        "score, %": "-" if trial.score is None else f"{trial.score:.2f}",
        "median, ms": "-" if trial.latency_ms is None else f"{trial.latency_ms:.3g}",
        "size": "-" if trial.size_bytes is None else f"{_size(trial):.3g} MB",
        "parameters": f"{facts['parameters'] / 1e6:.3g}M" if "parameters" in facts else "-",
        "grade": facts.get("grade", "-"),
    }
    if every:
        row["reason"] = trial.reason or "; ".join(facts.get("reasons", ())) or "-"
    return row


def _left_out(infeasible: Mapping[str, int]) -> Markup | str:
    if not infeasible:
        return ""
    rows = [{"combinations": count, "why": reason} for reason, count in infeasible.items()]
    return section("Left out from the start", wide_table(rows))
