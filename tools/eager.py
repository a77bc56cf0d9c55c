"""Time the eager fp32 model in PyTorch, one thread, batch 1: what the artifacts are compared with.

Prints one row of the kind that `edgewright bench --json` prints, for each length. A fresh process per call.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.data.rows import texts
from edgewright.statistics.latency import summarize

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a Hugging Face directory")
    parser.add_argument("--head", default="AutoModelForSequenceClassification", help="the class that loads it")
    parser.add_argument("--tokens", default="16,128", help="fixed lengths, by comma")
    parser.add_argument("--input", type=Path, help="texts, run at their own lengths")
    parser.add_argument("--runs", type=int, default=50)
    args = parser.parse_args()
    import torch
    import transformers

    torch.set_num_threads(1)
    begin = time.perf_counter_ns()
    model = getattr(transformers, args.head).from_pretrained(args.model, dtype=torch.float32).eval()
    load_ms = _since(begin)
    encode = transformers.AutoTokenizer.from_pretrained(args.model)
    rows = []
    with torch.inference_mode():
        for feeds in _series(args, encode):
            begin = time.perf_counter_ns()
            model(**feeds[0])
            first_ms = _since(begin)
            took = summarize(_time(lambda at, feeds=feeds: model(**feeds[at % len(feeds)]), max(args.runs, len(feeds))))
            tokens = sorted(int(f["input_ids"].shape[1]) for f in feeds)[len(feeds) // 2]
            rows.append(
                {
                    "format": "eager",
                    "precision": "fp32",
                    "engine": f"torch {torch.__version__}",
                    "threads": 1,
                    "tokens": tokens,
                    "n": took.n,
                    "median_ms": took.median,
                    "p90_ms": took.p90,
                    "load_ms": load_ms,
                    "first_ms": first_ms,
                    "peak_rss_mib": _peak_rss_mib(),
                    "size_bytes": sum(p.numel() * p.element_size() for p in model.parameters()),
                }
            )
    print(json.dumps({"rows": rows}))


def _series(args: argparse.Namespace, encode: Callable[..., dict]) -> list[list[dict]]:
    real = [[encode(text, return_tensors="pt", truncation=True) for text in texts(args.input)]] if args.input else []
    passage = "The river had risen in the night, and by morning the lower path was gone. " * 100
    lengths = [int(word) for word in args.tokens.split(",") if word]
    return real + [[encode(passage, return_tensors="pt", truncation=True, max_length=n)] for n in lengths]


def _time(run: Callable[[int], object], runs: int, warmup_ms: float = 300.0) -> list[float]:
    begin = time.perf_counter_ns()
    while _since(begin) < warmup_ms:
        run(0)
    samples = []
    for at in range(runs):
        begin = time.perf_counter_ns()
        run(at)
        samples.append(_since(begin))
    return samples


def _since(begin: int) -> float:
    return (time.perf_counter_ns() - begin) / 1e6


def _peak_rss_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
