"""`edgewright train` beside a plain Trainer of transformers with the same settings, over several seeds.

    .venv/bin/python tools/training_seeds.py MODEL_DIR TRAIN.tsv TEST.tsv --out build/training_seeds

Three sides: ours; ours with rows shuffled as they are, so that a batch is not of about one length; and Trainer as its
documentation shows it, each batch padded to its longest row. A seed gives all sides the same new head, and one pass
over the same rows; nothing chooses a model, the last one counts. All three are scored by the same lines, which are
transformers' alone. A run is a fresh process on one thread; those in `training_seeds.json` are not made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

BATCH, LENGTH, RATE, WARMUP, CLIP = 32, 128, 5e-5, 0.06, 1.0
DECAY = 0.01
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Student's t of a mean of so many differences, 95 %, two-sided."""


@dataclass
class Run:
    """What came of a side with a seed: accuracy in percent, and mean loss in nats."""

    side: str
    seed: int
    rows: int
    accuracy: float
    loss: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Hugging Face directory")
    parser.add_argument("train", type=Path, help="a TSV with the columns sentence and label")
    parser.add_argument("test", type=Path, help="other rows of that kind, for the scores")
    parser.add_argument("--rows", type=int, default=3072, help="of train, drawn once")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="a directory for training_seeds.json")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(_one(args)))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "training_seeds.json"
    found = [Run(**row) for row in json.loads(kept.read_text())] if kept.exists() else []
    for seed in range(args.seeds):
        for side in SIDES:
            if any((run.side, run.seed, run.rows) == (side, seed, args.rows) for run in found):
                continue
            argv = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--seed", str(seed)]
            done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
            found.append(Run(side, seed, args.rows, **json.loads(done.stdout.splitlines()[-1])))
            kept.write_text(json.dumps([asdict(run) for run in found], indent=1) + "\n")
            print(found[-1], file=sys.stderr)
    print(_markdown([run for run in found if run.rows == args.rows and run.seed < args.seeds]))


def _one(args: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        drawn = random.Random(0).sample(_table(args.train), args.rows)  # noqa: S311 - rows, no secret
        rows = Path(scratch) / "rows.tsv"
        rows.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in drawn), encoding="utf-8")
        out = Path(scratch) / "out"
        SIDES[args.side](args.model, rows, args.test, out, args.seed)
        return _scored(out, _table(args.test))


def _table(path: Path) -> list[tuple[str, int]]:
    """The rows of a TSV as they stand, quotes and all."""
    with path.open(encoding="utf-8", newline="") as file:
        given = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["sentence"], int(row["label"])) for row in given]


def _ours(model: Path, rows: Path, test: Path, out: Path, seed: int) -> None:
    from edgewright.training import Recipe, train

    recipe = Recipe(RATE, 1, BATCH, 1, WARMUP, DECAY, CLIP, evaluations=1, seed=seed, max_length=LENGTH, threads=1)
    train(model, rows, test, out, task="text-classification", labels=["0", "1"], recipe=recipe)


def _shuffled(model: Path, rows: Path, test: Path, out: Path, seed: int) -> None:
    """Ours in pools of one batch: sorted within a batch alone, whose order no loss depends on."""
    from edgewright.training import _batches

    _batches._POOL = 1  # noqa: SLF001 - the one thing that is another here
    _ours(model, rows, test, out, seed)


def _trainer(model: Path, rows: Path, test: Path, out: Path, seed: int) -> None:
    import transformers as hf

    del test
    hf.set_seed(seed)
    network = hf.AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    tokenizer = hf.AutoTokenizer.from_pretrained(model)
    encoded = [{**tokenizer(text, truncation=True, max_length=LENGTH), "labels": label} for text, label in _table(rows)]
    args = hf.TrainingArguments(
        output_dir=str(out),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        warmup_steps=round(WARMUP * -(-len(encoded) // BATCH)),
        weight_decay=DECAY,
        max_grad_norm=CLIP,
        seed=seed,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    given = {"train_dataset": encoded, "data_collator": hf.DataCollatorWithPadding(tokenizer)}
    trainer = hf.Trainer(model=network, args=args, **given)
    trainer.train()
    trainer.save_model(str(out))
    tokenizer.save_pretrained(out)


SIDES = {"edgewright": _ours, "edgewright, not grouped": _shuffled, "Trainer": _trainer}


def _scored(directory: Path, test: list[tuple[str, int]]) -> dict[str, float]:
    """Accuracy in percent and mean loss in nats."""
    import torch
    import transformers as hf

    network = hf.AutoModelForSequenceClassification.from_pretrained(directory).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(directory)
    right, loss = 0, 0.0
    test = sorted(test, key=lambda row: len(row[0]))
    with torch.inference_mode():
        for at in range(0, len(test), BATCH):
            texts, labels = zip(*test[at : at + BATCH], strict=True)
            given = tokenizer(list(texts), truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
            logits, right_ones = network(**given).logits, torch.tensor(labels)
            right += int((logits.argmax(-1) == right_ones).sum())
            loss += float(torch.nn.functional.cross_entropy(logits, right_ones, reduction="sum"))
    return {"accuracy": 100 * right / len(test), "loss": loss / len(test)}


def _markdown(found: list[Run]) -> str:
    """A column a seed, and each side's differences from Trainer, seed by seed."""
    seeds = sorted({run.seed for run in found})
    lines = []
    for metric, places in (("accuracy", 2), ("loss", 3)):
        head = [metric, *(f"seed {seed}" for seed in seeds), "mean", "spread", "over Trainer (95 %)"]
        lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        sides = {side: [getattr(run, metric) for run in found if run.side == side] for side in SIDES}
        for side, values in sides.items():
            apart = [one - other for one, other in zip(values, sides["Trainer"], strict=True)]
            half = T_95[len(seeds)] * stdev(apart) / len(apart) ** 0.5
            held = f"{mean(apart):+.{places}f} ({mean(apart) - half:+.{places}f} to {mean(apart) + half:+.{places}f})"
            row = [f"{value:.{places}f}" for value in (*values, mean(values), stdev(values))]
            lines.append(f"| {side} | {' | '.join(row)} | {'' if side == 'Trainer' else held} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
