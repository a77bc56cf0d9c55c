"""A run as one page that needs nothing else, and as Markdown: what to take, how sure it is, how it was made.

A page holds its style, its charts, its rows to download, and a script that sorts its tables; no font, no address. What
a file of rows brings is escaped.
"""

from __future__ import annotations

import base64
import csv
import io
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright._version import __version__
from edgewright.measure.profile import shares
from edgewright.measure.regression import with_baseline
from edgewright.reporting.charts import (
    DISTRIBUTION,
    Bar,
    Interval,
    Point,
    Series,
    bars,
    curves,
    distribution,
    intervals,
    legend,
    scatter,
)
from edgewright.reporting.markup import document, pipes, plain, section, shown, sortable, tiles, wide_table
from edgewright.reporting.operators import check, facts, timed
from edgewright.system.markup import Markup, tag
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewright.measure.profile import Profile
    from edgewright.measure.regression import Comparison
    from edgewright.measure.rows import Row, Run

__all__ = ["html", "markdown"]

_MOST_KINDS = 9
"""One more than the style sheet has colours: the last row is the rest."""
_STEPS = ("import_ms", "read_ms", "tokenizer_ms", "open_ms", "first_ms")


def html(run: Run, baseline: Run | None = None, profiles: Sequence[Profile] = ()) -> str:
    """The page of a run, with a comparison where there is a baseline, and bars of profiles of its artifacts.

    Raises:
        DataError: the baseline is of another model, or a profile of another artifact.
    """
    if not run.rows:
        raise ValueError("a run without rows has nothing to report")
    check(run, profiles)
    bundles = ", ".join(dict.fromkeys(row.bundle for row in run.rows))
    title = f"{bundles}: {run.rows[0].task} on {run.machine.model}"
    sections = [
        _summary(run),
        *(_compared(with_baseline(run, baseline)) if baseline else ()),
        *_sections(run, profiles),
    ]
    made = f"{run.began}, edgewright {run.machine.edgewright}, on {run.device}"
    model = f"Bundle {bundles}, made of a model whose files have the SHA-256 "
    return document(
        title,
        tag("p", made, class_="faint"),
        tag("p", model, tag("code", run.source, class_="hash"), class_="faint"),
        *sections,
    )


def _sections(run: Run, profiles: Sequence[Profile]) -> list[Markup]:
    rows = list(run.rows)
    first = _first_of_each(rows)
    lengths = {row.tokens for row in rows if row.data is None}
    charts: list[tuple[str, list[Markup]]] = [("Score, latency, size", _trade(rows)), ("Latency", _latency(rows))]
    charts += [("Latency over length", _over_length(rows))] if len(lengths) > 1 else []
    charts += [("The way to the first answer", _startup(first)), ("Memory", [_memory(first)])]
    charts += [("Where the time goes", timed(profiles))] if profiles else []
    tables = [
        ("Rows", [sortable([_row(row) for row in rows]), _downloads(run)]),
        ("Parity with the eager model", [sortable([_parity(row) for row in first])]),
        ("The machine", [wide_table(_states([rows[0], rows[-1]][: len(rows)]))]),
        ("Made by", _made(run)),
    ]
    return [section(name, *parts) for name, parts in (*charts, *tables)]


def _summary(run: Run) -> Markup:
    sound = [row for row in run.rows if not row.void]
    void = len(run.rows) - len(sound)
    none = "" if sound else " No artifact is the fastest of this run: measure again on a quieter machine."
    said = f"{void} of {counted(len(run.rows), 'row')} void: see the reasons below.{none}"
    words = [tag("p", said, class_="void")] if void else []
    words += [tag("p", problem, class_="void") for problem in (run.cut_short, *run.problems) if problem]
    return tag("section", tiles(_facts_of(_headline(sound)) if sound else {}), *words)


def _facts_of(rows: Sequence[Row]) -> dict[str, str]:
    """The fastest of some rows, none of them void."""
    fastest = min(rows, key=lambda row: row.latency_ms.median)
    score = fastest.artifact.score
    return {
        "fastest": fastest.artifact.key,
        f"median, {_length(fastest)}": f"{fastest.latency_ms.median:.3g} ms",
        "size": f"{fastest.artifact.total_bytes / 1e6:.3g} MB",
        score.metric if score else "score": f"{score.value:.1f} %" if score else "not measured",
        "peak memory": f"{fastest.peak_rss_mib:.0f} MiB",
        "grade": fastest.grade,
    }


def _headline(rows: Sequence[Row]) -> list[Row]:
    """The rows that stand for their artifacts: of real texts where there are any, else of the greatest length."""
    texts = [row for row in rows if row.data is not None]
    longest = max(row.tokens for row in rows)
    return texts or [row for row in rows if row.tokens == longest]


def _trade(rows: Sequence[Row]) -> list[Markup]:
    shown = _headline(rows)
    scored = all(row.artifact.score for row in shown)

    def worth(row: Row) -> float:
        score = row.artifact.score
        return score.value if score and scored else row.artifact.parity.sqnr_db

    points = [
        Point(
            row.latency_ms.median,
            worth(row),
            row.artifact.total_bytes,
            _name(row, rows) + " void" * row.void,
            _facts(row),
            not row.void and _best(row, [other for other in shown if not other.void], worth),
        )
        for row in shown
    ]
    score = shown[0].artifact.score
    label = f"{score.metric}, %" if score and scored else "signal to noise, dB"
    words = (
        "Areas follow the sizes of the files. Up and to the left is better; the dashed line joins what nothing beats."
    )
    return [scatter(points, f"median, ms, {_length(shown[0])}", label), tag("p", words, class_="faint")]


def _best(row: Row, rows: Sequence[Row], worth: Any) -> bool:
    """Whether no other row is as fast and as good, and better in one of them."""
    mine = row.latency_ms.median, -worth(row)
    others = [(other.latency_ms.median, -worth(other)) for other in rows]
    return not any(o[0] <= mine[0] and o[1] <= mine[1] and o != mine for o in others)


def _facts(row: Row) -> str:
    return f"{row.latency_ms.median:.3g} ms, {row.artifact.total_bytes / 1e6:.3g} MB"


def _latency(rows: Sequence[Row]) -> list[Markup]:
    found = [
        distribution(
            f"{_name(row, rows)}, {_length(row)}",
            row.samples_ms,
            f"{row.latency_ms.median:.3g} ms" + " void" * row.void,
        )
        for row in rows
    ]
    return [intervals(found, "ms"), tag("p", DISTRIBUTION, class_="faint")]


def _over_length(rows: Sequence[Row]) -> list[Markup]:
    fixed = [row for row in rows if row.data is None]
    found: dict[str, list[Row]] = {}
    for row in fixed:
        found.setdefault(_name(row, rows), []).append(row)
    names = [name + ", with void rows" * any(row.void for row in each) for name, each in found.items()]
    points = [tuple(sorted((row.tokens, row.latency_ms.median) for row in each)) for each in found.values()]
    series = [Series(name, each) for name, each in zip(names, points, strict=True)]
    return [legend(names), curves(series, "tokens", "median, ms")]


def _startup(rows: Sequence[Row]) -> list[Markup]:
    words = [step.removesuffix("_ms") for step in _STEPS]
    found = [
        Bar(
            _name(row, rows),
            tuple(zip(words, values, strict=True)),
            f"{sum(values):.0f} ms, {row.startup.modules} modules",
        )
        for row, values in ((row, [getattr(row.startup, step) for step in _STEPS]) for row in rows)
    ]
    note = ("Steps one after the other; ", tag("code", "edgewright.load"), " does some of them at the same time.")
    return [legend(words), bars(found), tag("p", *note, class_="faint")]


def _memory(rows: Sequence[Row]) -> Markup:
    return bars([Bar(_name(r, rows), (("peak", r.peak_rss_mib),), f"{r.peak_rss_mib:.0f} MiB") for r in rows])


def _compared(found: Sequence[Comparison]) -> list[Markup]:
    rows = []
    for c in found:
        value, low, high = c.ratio.value, max(c.ratio.low, 0.2), min(c.ratio.high, 5.0)
        verdict = " void" if c.void else (" slower" if value > 1 else " faster") if c.ratio.shown else ""
        rows.append(Interval(c.row.key, low, (value, value), value, high, (), f"{value:.3f}{verdict}"))
    words = "Ratios of medians with their 99 % intervals, from 0.2 to 5; slower or faster where a difference is shown."
    chart = [intervals(rows, "times the baseline", line=1.0), tag("p", words, class_="faint")]
    return [section("Against the baseline", *chart)]


def _made(run: Run) -> list[Markup]:
    facts = [{"what": name, "value": str(getattr(run.machine, name))} for name in run.machine.__struct_fields__]
    files = [{"artifact": r.artifact.path, "sha256": r.artifact.sha256} for r in _first_of_each(run.rows)]
    again = [tag("pre", run.command)] if run.command else []
    return [
        *again,
        wide_table(facts),
        wide_table(files),
        tag("p", f"Written by edgewright {__version__}.", class_="faint"),
    ]


def _row(row: Row) -> dict[str, Any]:
    took, score = row.latency_ms, row.artifact.score
    return {
        "artifact": row.artifact.key,
        "engine": f"{row.engine} {row.version}",
        "threads": row.threads,
        "input": _length(row),
        "median, ms": f"{took.median:.4g}",
        "95 % interval": "-" if took.low is None else f"{took.low:.4g} to {took.high:.4g}",
        "p90": "-" if took.p90 is None else f"{took.p90:.4g}",
        "p99": "-" if took.p99 is None else f"{took.p99:.4g}",
        "n": took.n,
        "score": "-" if score is None else f"{score.value:.2f} % {score.metric} (n {score.n}, {score.data})",
        "peak, MiB": f"{row.peak_rss_mib:.0f}",
        "energy, mJ": "unmeasured" if row.energy_mj == "unmeasured" else f"{row.energy_mj:.3g} ({row.energy_meter})",
        "grade": row.grade,
        "reasons": "; ".join(row.reasons) or "-",
    }


def _parity(row: Row) -> dict[str, Any]:
    parity = row.artifact.parity
    return {
        "artifact": row.artifact.key,
        "size": f"{row.artifact.total_bytes / 1e6:.3g} MB",
        "cosine": f"{parity.cosine:.4f}",
        "SQNR, dB": f"{parity.sqnr_db:.1f}",
        "largest error": f"{parity.max_abs:.3g}",
        "same choice": "-" if parity.top1 is None else f"{parity.top1:.1%}",
        "worst case": parity.worst_case,
        "left in float": ", ".join(row.artifact.float_operators) or "-",
    }


_UNITS = {"temperature_c": "°C", "clock_mhz": "MHz", "free_ram_mib": "MiB"}
"""Of the state of a machine, beside its names."""


def _states(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The machine before and after rows: what it tells, once where it stayed the same."""

    def told(row: Row, name: str) -> str | None:
        before, after = getattr(row.before, name), getattr(row.after, name)
        if before is None and after is None:
            return None
        said = [
            f"{value:.0f}" if isinstance(value, float) and value >= 100 else shown(value) for value in (before, after)
        ]
        return said[0] if said[0] == said[1] else " → ".join(said)

    known = [name for name in rows[0].before.__struct_fields__ if any(told(row, name) for row in rows)]
    heads = {
        name: f"{name.rpartition('_')[0].replace('_', ' ')}, {_UNITS[name]}"
        if name in _UNITS
        else name.replace("_", " ")
        for name in known
    }
    return [{"row": row.key} | {heads[name]: told(row, name) for name in known} for row in rows]


def _downloads(run: Run) -> Markup:
    """The rows as a table for a spreadsheet, and the whole run, samples and all, as `bench --out` writes it."""
    text = io.StringIO()
    rows = [_row(row) for row in run.rows]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    files = {
        "rows.csv": ("text/csv", text.getvalue().encode()),
        "run.json": ("application/json", msgspec.json.encode(run)),
    }
    links = [
        tag("a", name, download=name, href=f"data:{kind};base64,{base64.b64encode(data).decode()}")
        for name, (kind, data) in files.items()
    ]
    return tag("p", "To download:", *links, class_="downloads")


def _first_of_each(rows: Sequence[Row]) -> list[Row]:
    return list({_name(row, rows): row for row in reversed(rows)}.values())[::-1]


def _name(row: Row, rows: Sequence[Row]) -> str:
    several = len({other.threads for other in rows}) > 1
    return row.artifact.key + (f" x{row.threads}" if several else "")


def _length(row: Row) -> str:
    return f"texts of {row.data}" if row.data is not None else f"{row.tokens} tokens"


def markdown(run: Run, baseline: Run | None = None, profiles: Sequence[Profile] = ()) -> str:
    """The same for a pull request: a table, the comparison, and why rows are no A. Raises what `html` does."""
    check(run, profiles)
    rows = [_row(row) for row in run.rows]
    made = plain(run.command).replace("`", "'")
    lines = [plain(f"**{run.rows[0].task} on {run.machine.model}**, {run.began}") + f", `{made}`", "", *pipes(rows)]
    if baseline:
        found = with_baseline(run, baseline)
        compared = [
            {"row": c.row.key, "of the baseline's time": "void" if c.void else str(c.ratio), "grade": c.row.grade}
            for c in found
        ]
        lines += ["", *pipes(compared)]
    for one in profiles:
        lines += ["", plain(f"**{one.title}.** {facts(one)}"), "", *pipes(_longest(one))]
    return "\n".join(lines) + "\n"


def _longest(found: Profile) -> list[dict[str, Any]]:
    """The kinds of operators that take longest, and the rest."""
    rows = shares(found)
    kept = rows if len(rows) < _MOST_KINDS else [*rows[: _MOST_KINDS - 1], rows[-1]]
    return [
        {
            "operator": r.what,
            "calls": r.calls,
            "ms": f"{r.time_ms:.3g}",
            "share": f"{r.share:.1%}",
            "bound": r.bound or "-",
        }
        for r in kept
    ]
