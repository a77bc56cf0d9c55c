"""What each layer of a model knows: a linear classifier on its hidden states, beside one for labels without meaning.

A probe that reads off a label may have learned it itself. So the same probe is given a control task (Hewitt and Liang
2019, arXiv 1909.03368, section 2): each word type has a random class of its own, which only memory gives. Selectivity,
the accuracy on the labels less that on the control, is what the layer itself makes easy to read. Of texts, of which no
two are alike, the type is the first word.

The probe is ridge regression on one-hot labels (Rifkin et al. 2003, "Regularized least-squares classification"): solved
at once, its penalty taken by the rows set aside for that. Rows are divided by a hash of their text, 7 of 10 to learn
from, 1 for the penalty, 2 to test.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.data import rows as data
from edgewright.errors import DataError, quoted
from edgewright.model.eager import Look, ask
from edgewright.reporting.charts import Series, curves, legend
from edgewright.reporting.markup import document
from edgewright.statistics import metrics
from edgewright.system.child import Child
from edgewright.system.markup import tag
from edgewright.system.progress import silent
from edgewright.system.shown import brief, table_of
from edgewright.text import encoding as text_encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.model.source import Source
    from edgewright.text.tokenizer import Tokenizer

    Array = NDArray[Any]

__all__ = ["STATES", "Layer", "Probed", "StatesRequest", "page", "probe"]

_PENALTIES = 10.0 ** np.arange(-2, 6)
"""Of ridge regression, a decade apart, for features of variance 1: from none to all but the mean gone."""
_LABELS = ("label", "tags", "ner_tags", "labels")
_LEAST = 10
"""A choice: with fewer, one row moves a part's accuracy by more than ten points."""


class StatesRequest(Look, frozen=True, kw_only=True):
    """The hidden states of the tokens that a batch's `kept` marks: with `mean` their mean, else each by itself."""

    mean: bool


STATES = Child("edgewright.converters._model.looks:states", StatesRequest, type(None))


@dataclass(frozen=True)
class Layer:
    """What a probe reads off one layer; 0 is the embeddings. Accuracies are in percent of the test rows.

    Attributes:
        accuracy: on the labels, with the ends of its 95 % interval.
        control: on the control task.
        selectivity: the difference of the two.
    """

    layer: int
    accuracy: float
    low: float
    high: float
    control: float
    selectivity: float


@dataclass(frozen=True)
class Probed:
    """A probe of every layer.

    Attributes:
        unit: `texts`, or `words` where the rows have tokens and tags.
        classes: the labels.
        learned: rows to learn from.
        tested: rows to test on.
        majority: the test rows with the commonest label, in percent: what a blind probe reaches.
    """

    unit: str
    classes: tuple[str, ...]
    learned: int
    tested: int
    majority: float
    layers: tuple[Layer, ...]

    def __repr__(self) -> str:
        best = max(self.layers, key=lambda layer: layer.accuracy, default=None)
        words = f"layer {best.layer} is the best with {best.accuracy:.1f} %" if best else ""
        return brief(self, f"{len(self.classes)} classes of {self.unit}", f"{len(self.layers)} layers", words)

    def _repr_html_(self) -> str:
        return table_of([asdict(layer) for layer in self.layers])


@dataclass(frozen=True)
class _Rows:
    """Labelled units: which text each is of, its label, and the word type that the control task gives a class."""

    texts: list[Any]
    owner: list[int]
    labels: list[str]
    types: list[str]
    starts: list[list[int]]


def probe(
    source: Source,
    labelled: str | Path,
    *,
    most: int = 2000,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[str], None] = silent,
) -> Probed:
    """Probe the layers of an eager model on labelled texts, or on words with tags, whatever the model was trained for.

    Args:
        source: the model.
        labelled: rows with a text or a pair and `label`, or with `tokens` and `tags`.
        most: texts to take, evenly over the file.
        seed: of the control task.
        threads: of torch.
        progress: called with a short phrase at each stage.

    Raises:
        DataError: the file is bad, has one label, or too few rows for the three parts.
        UnsupportedConversion: the architecture does not show its hidden states.
    """
    rows = _read(Path(labelled), most)
    parts = np.array([_part(rows.texts[at]) for at in rows.owner])
    classes = tuple(sorted(set(rows.labels)))
    sizes = [int((parts == part).sum()) for part in range(3)]
    if len(classes) < 2 or min(sizes) < _LEAST:
        what = f"{labelled} has {len(rows.labels)} units with {len(classes)} labels, in parts of {sizes}"
        raise DataError(what, hint=f"two labels and {_LEAST} in each part are the least; give more rows")
    states = _states(source, rows, threads, progress)
    wanted = np.array([classes.index(label) for label in rows.labels])
    control = _control(rows.types, wanted, seed)
    layers = []
    for at in range(states.shape[1]):
        progress(f"probe layer {at}")
        right, guessed = (_tested(states[:, at], labels, parts) for labels in (wanted, control))
        metric, n = metrics.mean(right), len(right)
        low, high = metrics.interval(metrics.draws(metric, n))
        accuracy, other = (metrics.value(metrics.mean(hits), n) for hits in (right, guessed))
        layers.append(Layer(at, *(round(v, 2) for v in (accuracy, low, high, other, accuracy - other))))
    common = Counter(wanted[parts == 2].tolist()).most_common(1)[0][1]
    unit = "words" if rows.starts else "texts"
    return Probed(unit, classes, sizes[0], sizes[2], round(100 * common / sizes[2], 2), tuple(layers))


def _read(path: Path, most: int) -> _Rows:
    every = list(data.rows(path))
    chosen = every[:: max(1, -(-len(every) // most))]
    rows = _Rows([], [], [], [], [])
    for number, row in chosen:
        label = next((row[name] for name in _LABELS if row.get(name) is not None), None)
        given = text_encoding.pair(row) or row.get("text", row.get("sentence"))
        if isinstance(row.get("tokens"), list) and isinstance(label, list) and len(row["tokens"]) == len(label):
            _add_words(rows, [str(word) for word in row["tokens"]], [str(tag) for tag in label])
        elif given and isinstance(label, str | int):
            rows.owner.append(len(rows.texts))
            rows.texts.append(given)
            rows.labels.append(str(label))
            first = given if isinstance(given, str) else given[0]
            rows.types.append((str(first).split() or [""])[0].lower())
        else:
            raise DataError(f"{path} line {number} has no text with its label, or as many tags as tokens")
    if rows.starts and len(rows.starts) != len(rows.texts):
        raise DataError(f"{path} has rows with a label and rows with tags", hint="give one kind of them")
    return rows


def _add_words(rows: _Rows, words: Sequence[str], tags: Sequence[str]) -> None:
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    rows.owner.extend([len(rows.texts)] * len(words))
    rows.texts.append(" ".join(words))
    rows.labels.extend(tags)
    rows.types.extend(word.lower() for word in words)
    rows.starts.append(starts)


def _part(text: Any) -> int:
    """0 to learn from, 1 for the penalty, 2 to test; equal texts are in one part."""
    number = hashlib.sha256("\0".join([text] if isinstance(text, str) else text).encode(errors="replace")).digest()[0]
    return 2 if number % 10 < 2 else int(number % 10 == 2)


def _states(source: Source, rows: _Rows, threads: int, progress: Callable[[str], None]) -> Array:
    """Hidden states of every unit, float32 (units, layers + 1, width): of a text the mean over its tokens."""
    tokenizer = source.tokenizer()
    batches = [_batch(tokenizer, rows, at) for at in range(len(rows.texts))]
    request = StatesRequest(source=source.job(), threads=threads, mean=not rows.starts)
    _, states = ask(STATES, request, batches, progress=progress)
    return np.concatenate([one["states"] for one in states])


def _batch(tokenizer: Tokenizer, rows: _Rows, at: int) -> dict[str, Array]:
    """A text's arrays, with the tokens to keep: all of them, or the first of each word. Raises DataError."""
    encoding = tokenizer.encode([rows.texts[at]])
    kept = np.ones_like(encoding.feeds["input_ids"])
    if rows.starts:
        spots: dict[int, int] = {}
        for token, (begin, end) in enumerate(encoding.offsets[0]):
            if encoding.sequences[0][token] is not None and end > begin:
                spots.setdefault(begin + (rows.texts[at][begin] == " "), token)
        missing = [start for start in rows.starts[at] if start not in spots]
        if missing:
            what = f"the text {quoted(rows.texts[at])} has no token for the word at character {missing[0]}"
            raise DataError(what, hint=f"is it longer than {tokenizer.max_length} tokens? split it")
        kept[:] = 0
        kept[0, [spots[start] for start in rows.starts[at]]] = 1
    return {**encoding.feeds, "kept": kept}


def _control(types: Sequence[str], labels: Array, seed: int) -> Array:
    """A class for each type, drawn as often as the labels have it, so that a blind guess is worth as much."""
    rng = np.random.default_rng(seed)
    drawn = {word: labels[rng.integers(len(labels))] for word in sorted(set(types))}
    return np.array([drawn[word] for word in types])


def _tested(states: Array, labels: Array, parts: Array) -> Array:
    """Whether the probe is right on each test row, bool (rows,)."""
    learn, choose, test = (parts == part for part in range(3))
    middle, spread = states[learn].mean(axis=0), states[learn].std(axis=0)
    scaled = (states - middle) / np.where(spread > 0, spread, 1)
    every = np.eye(int(labels.max()) + 1)[labels]
    x, share = scaled[learn].astype(np.float64), every[learn].mean(axis=0)
    sizes, turns = np.linalg.eigh(x.T @ x)
    shared = turns.T @ (x.T @ (every[learn] - share))
    weights = [turns @ (shared / (np.maximum(sizes, 0) + penalty)[:, None]) for penalty in _PENALTIES * len(x) / 1000]
    chosen = max(weights, key=lambda one: _hits(scaled[choose] @ one + share, labels[choose]).mean())
    return _hits(scaled[test] @ chosen + share, labels[test])


def _hits(scores: Array, labels: Array) -> Array:
    found: Array = scores.argmax(axis=1) == labels
    return found


def page(found: Probed, title: str) -> str:
    """The accuracies over the layers, as a page that needs nothing else."""
    lines = {
        "labels": [layer.accuracy for layer in found.layers],
        "control task": [layer.control for layer in found.layers],
        "commonest label": [found.majority for _ in found.layers],
    }
    series = [Series(name, tuple((float(at), y) for at, y in enumerate(line))) for name, line in lines.items()]
    head = [tag("th", name) for name in ("layer", "accuracy", "95 % interval", "control", "selectivity")]
    cells = [
        (f"{x.layer}", f"{x.accuracy:.1f}", f"{x.low:.1f} to {x.high:.1f}", f"{x.control:.1f}", f"{x.selectivity:.1f}")
        for x in found.layers
    ]
    rows = [tag("tr", *(tag("td", cell) for cell in row)) for row in cells]
    words = f"{found.learned} {found.unit} to learn from, {found.tested} to test; classes: {', '.join(found.classes)}"
    return document(
        title,
        tag("p", words, class_="faint"),
        tag(
            "section", legend(list(lines)), curves(series, "layer, 0 is the embeddings", "accuracy, %", from_zero=False)
        ),
        tag("section", tag("table", tag("tr", *head), *rows)),
    )
