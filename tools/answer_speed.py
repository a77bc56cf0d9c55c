"""What answers cost on one core, and where the time goes: static embeddings, and ranking in runs or one by one.

.venv/bin/python tools/answer_speed.py STATIC_BUNDLE TEXTS
.venv/bin/python tools/answer_speed.py RANKING_BUNDLE QUERIES.jsonl [--precision int8] [--words 6] [--workers 2]

Times are of the process's CPU, in turn, the median of seven: on a machine that others share, a clock on the wall says
little. With workers it is that clock, since several cores are at work.
"""

from __future__ import annotations

import argparse
import time
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from edgewright import load
from edgewright.data import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 7
"""Each is every way once."""
TEXTS = 2000
"""Of a file, for embeddings."""
CANDIDATES = 100


def in_turn(clock: Callable[[], float] = time.process_time, **ways: Callable[[], Any]) -> dict[str, float]:
    """The median seconds of each way by a clock, all of them asked in turn."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, way in ways.items():
            begin = clock()
            way()
            found[name].append(clock() - begin)
    return {name: median(seconds[1:]) for name, seconds in found.items()}  # the first warms up


def static(pipeline: Any, texts: Sequence[str]) -> None:
    """Sentences by the second: by a call with all of them, and by its parts alone."""
    tokenizer, backend, run = pipeline.tokenizer, pipeline.tokenizer._backend, pipeline.session.run  # noqa: SLF001
    feeds = [tokenizer.encode([text]).feeds for text in texts]
    tokens = sum(one["input_ids"].shape[1] for one in feeds) / len(feeds)
    found = in_turn(
        **{
            "a call": lambda: pipeline(texts),
            "the tokenizers library": lambda: [backend.encode(text).ids for text in texts],
            "edgewright's tokenizer": lambda: [tokenizer.encode([text]) for text in texts],
            "the engine": lambda: [run(one) for one in feeds],
        }
    )
    print(f"{len(texts)} sentences of {tokens:.0f} tokens")
    for name, seconds in found.items():
        print(f"{name}: {len(texts) / seconds:,.0f} sentences/s, {1e6 * seconds / len(texts):.1f} us each")


def ranking(pipeline: Any, query: str, texts: Sequence[str]) -> None:
    """A query with all texts at once, and with one after another."""
    task, tokenizer, run = pipeline.task, pipeline.tokenizer, pipeline.session.run
    together = task.encode(tokenizer, [{"query": query, "texts": texts}])
    single = [task.encode(tokenizer, [{"query": query, "texts": [text]}]) for text in texts]
    found = in_turn(
        one=lambda: [pipeline(query, [text]) for text in texts],
        all=lambda: pipeline(query, texts),
        one_engine=lambda: [run(encoding.feeds) for encoding in single],
        all_engine=lambda: [run(batch) for batch in together.batches],
    )
    lengths = sorted(together.lengths.tolist())
    shape = f"{len(texts)} texts, pairs of {lengths[0]} to {lengths[-1]} tokens, in {len(together.runs)} runs"
    print(f"{shape}: {1e3 * found['one']:.0f} ms one by one, {1e3 * found['all']:.0f} together,", end=" ")
    print(f"{found['one'] / found['all']:.2f} times as fast; in the engine", end=" ")
    print(
        f"{1e6 * found['one_engine'] / sum(lengths):.0f} and {1e6 * found['all_engine'] / sum(lengths):.0f} us a token"
    )


def at_once(alone: Any, several: Any, query: str, texts: Sequence[str]) -> None:
    """A query with all texts at once, by workers, and with one after another; the ranks are the same."""
    if several(query, texts) != alone(query, texts):
        raise SystemExit("workers rank otherwise")
    one, every = in_turn(
        time.perf_counter, one=lambda: [alone(query, [text]) for text in texts], every=lambda: several(query, texts)
    ).values()
    words = f"{1e3 * one:.0f} ms one by one, {1e3 * every:.0f} by {several.workers} workers"
    print(f"{words}, {one / every:.2f} times as fast, by the clock on the wall")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--precision")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--words", type=int, default=1000, help="of each candidate, at most")
    args = parser.parse_args()
    pipeline = load(args.bundle, precision=args.precision)
    if pipeline.task.name == "text-ranking":
        asked = [row for _, row in rows.rows(args.data)]
        texts = [" ".join(text.split()[: args.words]) for text in chain(*(row["texts"] for row in asked))]
        query, texts = " ".join(asked[0]["query"].split()[: args.words]), texts[:CANDIDATES]
        ranking(pipeline, query, texts)
        if args.workers > 1:
            at_once(pipeline, load(args.bundle, precision=args.precision, workers=args.workers), query, texts)
    else:
        static(pipeline, rows.texts(args.data)[:TEXTS])


if __name__ == "__main__":
    main()
