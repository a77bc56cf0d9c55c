"""The peers' record as docs/peers.json, docs/peers.md with a chart for each model, and the table in the README."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright.reporting.charts import Interval, intervals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
MOST_OTHERS = 0.05
"""Of the machine's time, as in a row of `edgewright bench`."""

BEGIN, END = "<!-- what tools/peers measured -->", "<!-- until here -->"

HEAD = """# Peers

edgewright beside what else runs the same model: `tools/peers` puts each side into an environment of its own and asks
all of them the same texts, on one thread, one text at a time. Each side is started {processes} times, in turn with the
others, and everything below is of the same processes: {sentences}, {began}, {took_s} s on {machine}.

A time counts from the text to its answer, tokenization and pooling included: the median over processes, each of which
gives the median of its own runs. A ratio is edgewright's time by the peer's: below 1 edgewright is quicker. Its 99 %
interval is that of Wilcoxon's rank sum test over processes, as in [measuring.md](measuring.md); **bold** where it does
not hold 1. Beside each time stands how near the side's answers are to those of transformers' pipeline in fp32. *Bare*
is what a script of tokenizers and the engine alone takes, on the very file of edgewright's bundle or on Optimum's.
"""

STYLE = """
text { fill: #24292f; font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; } .small { font-size: 12px; }
.end { text-anchor: end; } .label, .middle { fill: #57606a; text-anchor: middle; }
.grid { stroke: #d0d7de; } .whisker { stroke: #57606a; stroke-width: 1.2; } .dot, .box { fill: #0072b2; }
.box { fill-opacity: .3; } .middle-mark { stroke: #24292f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .label, .middle { fill: #9aa5b0; } .grid { stroke: #323a42; }
.whisker { stroke: #9aa5b0; } .dot, .box { fill: #56b4e9; } .middle-mark { stroke: #e6edf3; } }
"""


def write(record: Mapping[str, Any], out: Path) -> None:
    """Write every rendering; the README's only where the files go to docs/."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.json").write_text(json.dumps(record, indent=1) + "\n")
    (out / "peers.md").write_text(page(record))
    for model in record["models"]:
        (out / _picture(model)).write_text(chart(model))
    if out.resolve() == ROOT / "docs":
        readme = ROOT / "README.md"
        readme.write_text(with_table(readme.read_text(), record))
    print(page(record))


def page(record: Mapping[str, Any]) -> str:
    """The whole page in Markdown."""
    machine = record["machine"]
    words = f"{machine['model']}, {machine['cores']} cores, {machine['ram_mib'] / 1024:.0f} GiB, {machine['cpu']}"
    parts = [HEAD.format(**{**record, "machine": words}), *_warning(record)]
    parts += [part for model in record["models"] for part in _model(model)]
    return "\n".join([*parts, *_versions(record["models"])])


def _warning(record: Mapping[str, Any]) -> list[str]:
    """What makes the figures worth less, in front of them."""
    warnings = []
    if record["others"] > MOST_OTHERS:
        warnings.append(f"**Void: other processes took {record['others']:.0%} of the machine meanwhile.**\n")
    if any(ratio["high"] is None for model in record["models"] for ratio in model["ratios"]):
        warnings.append("**Too few processes for an interval.**\n")
    return warnings


def _model(model: Mapping[str, Any]) -> Iterator[str]:
    """A table for each question."""
    sides, groups = model["sides"], list(model["sides"][0]["latency_ms"])
    yield f"## {model['name']}, {model['task']}\n"
    yield "### How long does an answer take?\n"
    yield f"Milliseconds in a warm process; the last column is the mean over sentences. {_alike(model)}\n"
    yield _table(("", "file", "agreement", *groups), [[*_facts(side), *_times(side)] for side in sides])
    yield f"![milliseconds for a sentence]({_picture(model)})\n"
    for ours in (side["name"] for side in sides if side["ours"]):
        yield f"### What part of a peer's time does {ours} take?\n"
        yield _table(("peer", *groups), _ratio_rows(model, ours, groups))
    yield "### How long from nothing to the first answer?\n"
    yield f"A fresh process: imports, load, one answer; with its peak of resident memory. {_ratio_words(sides)}\n"
    yield _table(("", "s", "of its time", "peak MiB", "of its memory"), list(_cold_rows(model)))
    yield from (f"- Left out: {name}: {reason}." for name, reason in model["left_out"].items())
    yield ""


def _alike(model: Mapping[str, Any]) -> str:
    what = "lowest cosine of an embedding with the pipeline's"
    if model["task"] != "feature-extraction":
        what = "labels that are the pipeline's, and the largest difference of their scores"
    return f"Agreement: {what}, over {model['texts']} texts."


def _ratio_words(sides: Sequence[Mapping[str, Any]]) -> str:
    return f"The ratios are those of {next(side['name'] for side in sides if side['ours'])}."


def _facts(side: Mapping[str, Any]) -> list[str]:
    return [_bold(side), f"{side['size_bytes'] / 1e6:.1f} MB", agreement_words(side["agreement"])]


def _bold(side: Mapping[str, Any]) -> str:
    return f"**{side['name']}**" if side["ours"] else side["name"]


def agreement_words(found: Mapping[str, float]) -> str:
    """A cosine, or how many labels are the same."""
    if "lowest_cosine" in found:
        return f"{found['lowest_cosine']:.4f}"
    return f"{found['same_labels']:.0%}, {found['largest_difference']:.3f}"


def _times(side: Mapping[str, Any]) -> list[str]:
    return [f"{took:.3g}" for took in side["latency_ms"].values()]


def _ratio_rows(model: Mapping[str, Any], ours: str, whats: Iterable[str]) -> list[list[str]]:
    """A row for each peer."""
    peers = [side["name"] for side in model["sides"] if not side["ours"]]
    return [[peer, *(_ratio(model, ours, peer, what) for what in whats)] for peer in peers]


def _ratio(model: Mapping[str, Any], ours: str, peer: str, what: str) -> str:
    wanted = (ours, peer, what)
    found = next(one for one in model["ratios"] if (one["ours"], one["peer"], one["what"]) == wanted)
    if found["high"] is None:
        return f"{found['value']:.2f}"
    apart = not found["low"] <= 1 <= found["high"]
    return f"{'**' * apart}{found['value']:.2f}{'**' * apart} ({found['low']:.2f} to {found['high']:.2f})"


def _cold_rows(model: Mapping[str, Any]) -> Iterator[list[str]]:
    ours = next(side["name"] for side in model["sides"] if side["ours"])
    for side in model["sides"]:
        ratios = (
            ("", "") if side["ours"] else tuple(_ratio(model, ours, side["name"], w) for w in ("cold_s", "peak_mib"))
        )
        yield [_bold(side), f"{side['cold_s']:.2f}", ratios[0], f"{side['peak_mib']:.0f}", ratios[1]]


def _versions(models: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = {side["name"]: side["versions"] for model in models for side in model["sides"]}
    rows = [[name, ", ".join(f"{what} {version}" for what, version in used.items())] for name, used in lines.items()]
    return ["## Versions\n", _table(("", "what its processes imported"), rows)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _picture(model: Mapping[str, Any]) -> str:
    return f"peers-{model['name'].lower()}.svg"


def chart(model: Mapping[str, Any]) -> str:
    """Milliseconds for a sentence: each side's processes, on a logarithmic axis."""
    drawing = intervals([_interval(side) for side in model["sides"]], "ms for a sentence, each dot a process")
    inside = re.search(r"<svg .*?</svg>", drawing)[0]  # type: ignore[index] # the first is for a wide screen
    return (
        inside.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
            ">", f"><style>{STYLE}</style>", 1
        )
        + "\n"
    )


def _interval(side: Mapping[str, Any]) -> Interval:
    dots = sorted(side["process_medians_ms"]["sentences"])
    quarter = len(dots) // 4
    box = (dots[quarter], dots[-1 - quarter])
    middle = side["latency_ms"]["sentences"]
    return Interval(side["name"], dots[0], box, middle, dots[-1], tuple(dots), f"{middle:.3g} ms")


def with_table(readme: str, record: Mapping[str, Any]) -> str:
    """The README with the first model's figures between its marks; those of a void run are not shown there."""
    if BEGIN not in readme or END not in readme:
        raise ValueError(f"the README has no place for the table, from {BEGIN} to {END}")
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    table = "".join(_warning(record)) or readme_table(record["models"][0])
    return f"{head}{BEGIN}\n{table}{END}{tail}"


def readme_table(model: Mapping[str, Any]) -> str:
    """A line for each side: the same figures as the page's."""
    heads = (model["name"], "agreement", "ms at 16 tokens", "at 128", "a sentence", "first answer", "peak memory")
    rows = [
        [
            _bold(side),
            agreement_words(side["agreement"]),
            *_times(side),
            f"{side['cold_s']:.2f} s",
            f"{side['peak_mib']:.0f} MiB",
        ]
        for side in model["sides"]
    ]
    return _table(heads, rows)
