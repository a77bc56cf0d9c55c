"""The speed of `edgewright train` beside the plain loop of transformers' own example, on the same rows.

    .venv/bin/python tools/training_speed.py MODEL_DIR TRAIN.tsv --out docs

Three sides, each in fresh processes, in turn: ours; the example's loop (`run_glue_no_trainer.py` of transformers:
shuffled rows, AdamW, one step a batch) with each batch padded to its longest row; and the same padded to 128 tokens, as
it does with `--pad_to_max_length`. One pass over the same rows, on one thread, in float32; tokens are real ones.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgewright.statistics.latency import compare, median

BATCH, LENGTH = 32, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a Hugging Face directory")
    parser.add_argument("train", type=Path, help="a TSV with the columns sentence and label")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a directory for training_speed.json and .md")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(SIDES[args.side](args.model, args.train)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch) / "rows.tsv"
        rows.write_text("\n".join(args.train.read_text().split("\n")[: args.rows + 1]) + "\n")
        found = _interleaved(args.model, rows, args.turns)
    table = [_row(side, found) for side in SIDES]
    if args.out:
        (args.out / "training_speed.json").write_text(json.dumps({"rows": table}, indent=1) + "\n")
        (args.out / "training_speed.md").write_text(_markdown(table, args))
    print(_markdown(table, args))


def _interleaved(model: Path, rows: Path, turns: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for turn in range(turns):
        for side in SIDES:
            argv = [sys.executable, __file__, str(model), str(rows), "--side", side]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"turn {turn + 1} of {turns}, {side}: {found[side][-1]['seconds']:.1f} s", file=sys.stderr)
    return found


def _ours(model: Path, rows: Path) -> dict[str, float]:
    """One pass of `train`; the other rows, which it is scored on, are two."""
    from edgewright.training import Recipe, train

    with tempfile.TemporaryDirectory() as scratch:
        dev = Path(scratch) / "dev.tsv"
        dev.write_text("sentence\tlabel\nfine\t1\nbad\t0\n")
        recipe = Recipe(epochs=1, batch=BATCH, evaluations=1, threads=1, max_length=LENGTH)
        trained = train(
            model, rows, dev, Path(scratch) / "out", task="text-classification", labels=["0", "1"], recipe=recipe
        )
        return {"seconds": trained.seconds, "tokens": trained.seconds * trained.tokens_per_s}


def _example(model: Path, rows: Path, *, padding: str) -> dict[str, float]:
    """The loop of the example, from shuffled rows to the last step."""
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    table = [line.split("\t") for line in rows.read_text().splitlines()[1:]]
    encoded = [{**tokenizer(text, truncation=True, max_length=LENGTH), "labels": int(label)} for text, label in table]

    def collate(batch: list[dict]) -> dict:
        return dict(tokenizer.pad(batch, padding=padding, max_length=LENGTH, return_tensors="pt"))

    loader = DataLoader(encoded, BATCH, shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-5)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, len(loader))
    network.train()
    begin = time.monotonic()
    for batch in loader:
        network(**batch).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    seconds = time.monotonic() - begin
    return {"seconds": seconds, "tokens": float(sum(len(row["input_ids"]) for row in encoded))}


SIDES = {
    "edgewright": _ours,
    "example, to the longest": lambda model, rows: _example(model, rows, padding="longest"),
    "example, to 128": lambda model, rows: _example(model, rows, padding="max_length"),
}


def _row(side: str, found: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    seconds = [one["seconds"] for one in found[side]]
    held = compare([[value] for value in seconds], [[one["seconds"]] for one in found["edgewright"]])
    tokens_per_s = median(sorted(one["tokens"] / one["seconds"] for one in found[side]))
    return {
        "side": side,
        "seconds": round(median(sorted(seconds)), 2),
        "tokens_per_s": round(tokens_per_s),
        "ratio": round(held.value, 3),
        "interval": [round(held.low, 3), round(held.high, 3)],
        "processes": len(seconds),
    }


def _markdown(table: list[dict], args: argparse.Namespace) -> str:
    what = f"{args.model.name}, {args.rows} rows, batches of {BATCH}, one thread, float32"
    lines = [
        "# Training speed\n",
        f"{what}. Time over ours, with its 99 % interval. Made by `tools/training_speed.py`.\n",
        "| loop | seconds | real tokens/s | time over ours |",
        "|---|---|---|---|",
    ]
    for row in table:
        low, high = row["interval"]
        lines.append(f"| {row['side']} | {row['seconds']} | {row['tokens_per_s']} | {row['ratio']} ({low} to {high}) |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
