"""What each head of a model looks at in one text: its attention, what kind of head that makes it, and the pictures.

Many heads of BERT look at one place whatever the text says: the token before or after, or a special token, which is how
a head does nothing (Clark et al. 2019, arXiv 1906.04341, sections 3 and 4). Such heads are the first to prune.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import registry
from edgewright.model.eager import Look, ask
from edgewright.reporting.markup import document, section
from edgewright.system.child import Child
from edgewright.system.files import writing
from edgewright.system.markup import tag
from edgewright.system.progress import silent
from edgewright.system.shown import Results, brief

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.model.source import Source
    from edgewright.system.markup import Markup
    from edgewright.text.encoding import Text

__all__ = ["ATTENTIONS", "Attention", "Head", "attend", "draw", "heads", "page"]

ATTENTIONS = Child("edgewright.converters._model.looks:attentions", Look, type(None))

_INK = (0x2A, 0x8C, 0xD6)
"""Seen on a white page and on a black one; how much of it is how much attention."""
_WIDTH, _LABELS = 720, 110
"""Units of the drawing: the width of a page's text, and room in it for the tokens."""
_SHOWN = 0.5
"""A pattern that has the greater part of a head's attention names the head."""


@dataclass(frozen=True)
class Attention:
    """The attention on one text.

    Attributes:
        tokens: as the tokenizer writes them.
        special: whether each was added by the tokenizer.
        weights: float32 (layers, heads, queries, keys); each query's sum to 1.
    """

    tokens: tuple[str, ...]
    special: tuple[bool, ...]
    weights: NDArray[np.float32]

    def __repr__(self) -> str:
        layers, each, *_ = self.weights.shape
        return brief(self, f"{layers} layers of {each} heads", f"{len(self.tokens)} tokens", " ".join(self.tokens))


@dataclass(frozen=True)
class Head:
    """Where a head's attention goes, as shares of 1, over the queries that are not special tokens.

    Attributes:
        mostly: `itself`, `previous`, `next` or `special` where that is at least half; `broad` where the entropy is
            above nine tenths of an even spread; else `mixed`.
        entropy_bits: the mean entropy of a query's attention; 0 is one token, log2 of the tokens is all alike.
    """

    layer: int
    head: int
    mostly: str
    itself: float
    previous: float
    next: float
    special: float
    entropy_bits: float

    def __repr__(self) -> str:
        return brief(self, f"layer {self.layer}", f"head {self.head}", self.mostly, f"{self.entropy_bits:.3g} bits")

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        return asdict(self)


def attend(
    source: Source, text: Text, *, tokens: int = 64, threads: int = 1, progress: Callable[[str], None] = silent
) -> Attention:
    """The eager model's attention on a text or a pair of texts, cut at so many tokens.

    Raises:
        UnsupportedConversion: the architecture does not show its attention.
        SourceError, TokenizerError: the model does not load, or its tokenizer refuses the text.
    """
    tokenizer = source.tokenizer()
    tokenizer.limit(min(tokens, tokenizer.max_length))
    encoding = tokenizer.encode([text])
    request = Look(source=source.job(), threads=threads)
    _, layers = ask(ATTENTIONS, request, [encoding.feeds], progress=progress)
    weights = np.stack([layer["attention"] for layer in layers])
    words = tuple(encoding.to_text([token]) for token in encoding.feeds["input_ids"][0].tolist())
    return Attention(words, tuple(side is None for side in encoding.sequences[0]), weights)


def heads(found: Attention) -> Results[Head]:
    """Where each head looks, layer by layer."""
    special = np.array(found.special)
    asked = ~special if not special.all() else special
    each = []
    for layer, matrices in enumerate(found.weights.astype(np.float64)):
        for head, matrix in enumerate(matrices):
            entropy = -(matrix * np.log2(np.maximum(matrix, 1e-30))).sum(axis=1)[asked].mean()
            shares = {
                "itself": np.diag(matrix)[asked].mean(),
                "previous": np.append(0.0, np.diag(matrix, -1))[asked].mean(),
                "next": np.append(np.diag(matrix, 1), 0.0)[asked].mean(),
                "special": matrix[asked][:, special].sum(axis=1).mean(),
            }
            kept = {name: round(float(share), 4) for name, share in shares.items()}
            each.append(Head(layer, head, _mostly(kept, float(entropy), len(special)), **kept,
                             entropy_bits=round(float(entropy), 3)))  # fmt: skip
    return Results(each)


def _mostly(shares: dict[str, float], entropy: float, tokens: int) -> str:
    most = max(shares, key=lambda name: shares[name])
    if shares[most] >= _SHOWN:
        return most
    return "broad" if entropy > 0.9 * np.log2(max(tokens, 2)) else "mixed"


def page(found: Attention, title: str) -> str:
    """A page that needs nothing else: a map for each head, side by side, then each with its tokens."""
    rows, layers, count = heads(found), *found.weights.shape[:2]
    words = (
        "A row is a token that looks, a column one that is looked at; the shade is the square root of the share. "
        "Below each head: where most of its attention goes."
    )
    small = [_small(found, row) for row in rows]
    lines = [
        tag("div", tag("b", f"{at}"), *small[at * count : (at + 1) * count],
            style=f"display:grid;grid-template-columns:1.5rem repeat({count},minmax(3.2rem,1fr));gap:.35rem;"
            "align-items:start;margin:.35rem 0")
        for at in range(layers)
    ]  # fmt: skip
    large = [_layer(found, at, rows[at * count : (at + 1) * count]) for at in range(layers)]
    tokens = tag("p", " ".join(found.tokens))
    return document(
        title,
        tokens,
        tag("p", words, class_="faint"),
        _legend(),
        section("Layers, from the first, and their heads", tag("div", *lines, class_="scroll")),
        section("With their tokens", *large),
    )


def _legend() -> Markup:
    """What shades mean: the share of a row's attention."""
    red, green, blue = _INK
    keys = [
        tag("span", tag("i", style=f"background:rgb({red} {green} {blue} / {share**0.5:.3f})"), f"{share:g}")
        for share in (0, 0.01, 0.05, 0.25, 0.5, 1)
    ]
    return tag("p", "Share of attention:", *keys, class_="shades")


def _small(found: Attention, head: Head) -> Markup:
    name = f"layer {head.layer}, head {head.head}"
    picture = tag(
        "img",
        src=_address(found.weights[head.layer, head.head]),
        alt=name,
        title=f"{name}: {head.mostly}, {head.entropy_bits} bits",
        style="width:100%;image-rendering:pixelated;border:1px solid var(--line);display:block",
    )
    under = tag("span", head.mostly, class_="faint", style="font-size:.7rem")
    return tag("div", tag("a", picture, href=f"#l{head.layer}h{head.head}"), under)


def _layer(found: Attention, layer: int, rows: Sequence[Head]) -> Markup:
    mean = _large(found.tokens, found.weights[layer].mean(axis=0), f"Layer {layer}, the mean of its heads", f"l{layer}")
    each = [
        _large(
            found.tokens,
            found.weights[layer, row.head],
            f"Layer {layer}, head {row.head}: {row.mostly}; itself {row.itself:.0%}, previous {row.previous:.0%}, "
            f"next {row.next:.0%}, special {row.special:.0%}, {row.entropy_bits:.1f} bits",
            f"l{layer}h{row.head}",
        )
        for row in rows
    ]
    return tag("div", mean, tag("details", tag("summary", f"The {len(rows)} heads of layer {layer}"), *each))


def _large(tokens: Sequence[str], matrix: NDArray[Any], title: str, anchor: str) -> Markup:
    """A map with the tokens at its sides: those that look on the left, those looked at above."""
    cell = min(26.0, (_WIDTH - _LABELS) / len(tokens))
    side, size = cell * len(tokens), f"font-size:{min(12.0, max(cell, 5.0)):.1f}px"
    marks = [
        tag("image", href=_address(matrix), x=_LABELS, y=_LABELS, width=side, height=side,
            style="image-rendering:pixelated"),
        tag("rect", x=_LABELS, y=_LABELS, width=side, height=side, style="fill:none;stroke:var(--line)"),
    ]  # fmt: skip
    for at, token in enumerate(tokens):
        spot, short = _LABELS + (at + 0.7) * cell, token if len(token) <= 14 else f"{token[:13]}…"
        turned = f"rotate(-90 {spot:.1f} {_LABELS - 6})"
        marks.append(tag("text", short, x=_LABELS - 6, y=spot, class_="end", style=size))
        marks.append(tag("text", short, x=spot, y=_LABELS - 6, transform=turned, class_="start", style=size))
    whole = f"{_LABELS + side + 4:.0f}"
    drawing = tag("svg", *marks, viewBox=f"0 0 {whole} {whole}", role="img", style=f"max-width:{whole}px")
    return tag("div", tag("p", tag("b", title)), tag("div", drawing, class_="plot"), id=anchor)


def _address(matrix: NDArray[Any]) -> str:
    """A matrix of 0..1 as a PNG in a data: address, its ink as dense as the square root of each number."""
    dense = np.round(255 * np.sqrt(np.clip(matrix, 0, 1))).astype(np.uint8)
    pixels = np.empty((*dense.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = _INK, dense
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", dense.shape[1], dense.shape[0], 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def draw(found: Attention, title: str, out: Path) -> None:
    """Write all heads as one PNG, a row for each layer. Raises MissingExtra and StorageError."""
    registry.require(("matplotlib",), "report")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers, count, size = *found.weights.shape[:2], len(found.tokens)
    figure = Figure(figsize=(1.5 * count + 1.2, 1.6 * layers + 1.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(layers, count, squeeze=False)
    for row in heads(found):
        spot = axes[row.layer][row.head]
        spot.imshow(np.sqrt(found.weights[row.layer, row.head]), cmap="Blues", vmin=0, vmax=1)
        spot.set_title(f"{row.layer}.{row.head} {row.mostly}", fontsize=7)
        spot.set_xticks([])
        named = row.head == 0 and size <= 24
        spot.set_yticks(range(size) if named else [], found.tokens if named else [], fontsize=5)
    with writing(out) as file:
        figure.savefig(file, format="png")
