"""What docs/pretraining.md says in numbers: speed beside a plain loop, the attention variants, first steps of a preset.

    python tools/pretraining.py stories FOLDER --out stories.txt      TinyStories' samples as one file of stories
    python tools/pretraining.py held stories.txt --out held           those that --validation 0.05 keeps back, and their
                                                                      endings as a cloze test
    python tools/pretraining.py speed stories.txt                     token files, and tokens/s beside a plain loop
    python tools/pretraining.py plot MODEL --out docs/pretraining.svg  the losses of a finished model
    python tools/pretraining.py attention stories.txt --tokens 400000 [--only LFM2]
    python tools/pretraining.py steps stories.txt --preset 60m --steps 3

Each prints JSON. The plain loop is nanoGPT's: a memory map, random places, AdamW, clipping.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgewright.data.text_documents import Documents
from edgewright.training import PretrainingRecipe, pretrain
from edgewright.training.decoder_shape import PRESETS
from edgewright.training.decoder_tokenizer import train_decoder_tokenizer
from edgewright.training.pretraining_page import loss_curves
from edgewright.training.token_files import is_validation, write_tokens

ROUNDS, STEPS = 5, 4
"""Rounds in which both loops take turns, and steps of each: what else runs on the machine slows both."""
TIMES = (8, 32)
"""How often the text is repeated for token files: memory must be the same for both."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stories", "held", "plot", "speed", "attention", "steps"])
    parser.add_argument("text", type=Path)
    parser.add_argument("--out", type=Path, default=Path("stories.txt"))
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--preset", default="10m", choices=PRESETS)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", action="append", help="one of the attention variants")
    given = parser.parse_args()
    if given.what == "stories":
        given.out.write_text(stories(given.text), encoding="utf-8")
        return
    if given.what in ("held", "plot"):
        {"held": held, "plot": plot}[given.what](given.text, given.out)
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = {"speed": speed, "attention": attention, "steps": first_steps}[given.what](given, Path(scratch))
    print(json.dumps(found, indent=1))


def stories(folder: Path) -> str:
    """Both samples: in the one a story ends with a mark, in the other with a line break that no blank line follows."""
    one = re.split(r"(?<!\n)\n(?!\n)", (folder / "stories-a.txt").read_text(encoding="utf-8"))
    other = (folder / "stories-b.txt").read_text(encoding="utf-8").split("<|endoftext|>")
    kept = dict.fromkeys(text.strip() for text in [*one, *other] if text.strip())
    return "\n<|endoftext|>\n".join(kept) + "\n"


def held(text: Path, out: Path) -> None:
    """Write held.txt, and cloze.jsonl: stories without their last sentences, each with that one and three others'."""
    kept = [piece.text for piece in Documents.of([text]) if piece.last and is_validation(piece.text, 0.05)]
    parts = [re.fullmatch(r"(.*[.!?”\"])\s+(\S.*)", story, re.DOTALL) for story in kept]
    cut = [(part[1], part[2]) for part in parts if part]
    rows, rng = [], random.Random(0)  # noqa: S311 - of an order
    for at, (begin, ending) in enumerate(cut):
        others = rng.sample([other for n, (_, other) in enumerate(cut) if n != at and other != ending], 3)
        label = rng.randrange(4)
        rows.append({"text": begin, "endings": [*others[:label], ending, *others[label:]], "label": label})
    out.mkdir(parents=True, exist_ok=True)
    (out / "held.txt").write_text("\n<|endoftext|>\n".join(kept) + "\n", encoding="utf-8")
    (out / "cloze.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


STYLE = """<style>
text { fill: #24292f; font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; } .small { font-size: 12px; }
.end { text-anchor: end; } .label, .middle { fill: #57606a; text-anchor: middle; } .start { text-anchor: start; }
.grid { stroke: #d0d7de; } .curve { fill: none; stroke-width: 1.5; } .f0 { fill: #56b4e9; } .f1 { fill: #d55e00; }
.s0 { stroke: #56b4e9; } .s1 { stroke: #d55e00; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .label, .middle { fill: #9aa5b0; } .grid { stroke: #323a42; } }
</style>"""
"""The colours are those of a report: blue for training, vermilion for validation."""


def plot(model: Path, out: Path) -> None:
    """Write the losses of a model's record as a drawing that needs nothing else."""
    record = json.loads((model / "training/pretraining.json").read_text(encoding="utf-8"))
    chart = str(loss_curves(record)[1])
    inside = chart[chart.index("<svg ") : chart.index("</svg>") + len("</svg>")]  # the first is for a wide screen
    inside = inside.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    out.write_text(inside.replace(">", f">{STYLE}", 1) + "\n", encoding="utf-8")


def speed(given: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """Token files on one core, and the loop beside a plain one."""
    documents = Documents.of([given.text])
    shape = PRESETS[given.preset]
    train_decoder_tokenizer(documents, scratch / "t", kind="bpe", size=shape.vocabulary, max_length=shape.context)
    text, rows = given.text.read_bytes(), []
    for times in TIMES:
        path = scratch / f"{times}.txt"
        with path.open("wb") as file:
            file.writelines([text] * times)
        started = time.process_time()
        write_tokens(Documents.of([path]), scratch / "t", scratch / f"tokens-{times}", validation=0.02, workers=1)
        spent = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rows.append({"text_mb": len(text) * times / 1e6, "mb_s": len(text) * times / 1e6 / spent, "peak_mib": peak})
    return {"token_files": rows, "loop": beside(given, scratch)}


def beside(given: argparse.Namespace, scratch: Path) -> dict[str, float]:
    """Tokens a second of both loops in turn, one thread, fp32, the same model, batch and optimizer's settings."""
    import torch
    import transformers

    from edgewright.training._pretraining import Batches, Pretraining
    from edgewright.training.token_files import TokenFiles

    torch.set_num_threads(1)
    shape, recipe = PRESETS[given.preset], PretrainingRecipe(batch=4, precision="fp32")
    files = TokenFiles(scratch / f"tokens-{TIMES[0]}")
    config = transformers.AutoConfig.for_model(**shape.config())
    kind = transformers.AutoModelForCausalLM
    run = Pretraining(
        model=kind.from_config(config), batches=Batches(files, shape.context, 0), recipe=recipe, place=scratch,
        flops=1, keep=lambda _: None, write=str, prompt=[0], progress=lambda _: None,
    )  # fmt: skip
    plain = kind.from_config(config)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    data = np.memmap(files.directory / files.shards("train")[0].name, np.uint16, "r")

    def ours(step: int) -> None:
        run._step(step, 1000, 1e-3)  # noqa: SLF001 - the step alone, as the run takes it

    def theirs(_: int) -> None:
        at = torch.randint(len(data) - shape.context - 1, (recipe.batch,))
        rows = torch.stack([torch.from_numpy(data[i : i + shape.context + 1].astype(np.int64)) for i in at])
        logits = plain(rows[:, :-1], use_cache=False).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(ROUNDS):
        for name, step in (("ours", ours), ("plain", theirs)):
            started = time.process_time()
            for at in range(STEPS):
                step(turn * STEPS + at)
            if turn:  # the first one warms up
                tokens = STEPS * recipe.batch * shape.context
                found[name].append(tokens / (time.process_time() - started))
    return {name: statistics.median(values) for name, values in found.items()}


def attention(given: argparse.Namespace, scratch: Path) -> list[dict[str, object]]:
    """The variants of the smallest preset at the same budget: loss, tokens/s, bytes of a full cache."""
    one = PRESETS["1m"]
    variants = {
        "multi-head": replace(one, kv_heads=4),
        "grouped, 2 of 4": one,
        "multi-query": replace(one, kv_heads=1),
        "multi-head, window 64": replace(one, kv_heads=4, window=64),
        "GPT-2": one.changed(family="gpt2"),
        "LFM2": one.changed(family="lfm2"),
    }
    recipe = PretrainingRecipe(
        tokens=given.tokens, batch=8, validation=0.05, evaluations=2, threads=1, precision="bf16"
    )
    rows, words = [], scratch / "t"
    train_decoder_tokenizer(Documents.of([given.text]), words, kind="bpe", size=one.vocabulary, max_length=one.context)
    for name, shape in variants.items():
        if given.only and name not in given.only:
            continue
        done = pretrain(
            given.text, scratch / name, shape=shape, recipe=recipe, tokenizer=words, token_files=scratch / "tokens"
        )
        counts = {"parameters": done.parameters, "cache_bytes": shape.cache_bytes()}
        rows.append({"attention": name, "loss": done.loss, "tokens_per_s": done.tokens_per_s, **counts})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def first_steps(given: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """Tokens a second and memory of the first steps of a preset, whose tokenizer takes what the text gives."""
    shape = PRESETS[given.preset]
    if given.text.stat().st_size < 64 * shape.vocabulary * 4:  # too few words for such a vocabulary
        shape = replace(shape, vocabulary=4096)
    recipe = PretrainingRecipe(tokens=given.steps * 4 * shape.context, batch=4, evaluations=1, evaluation_tokens=512)
    done = pretrain(
        given.text, scratch / "m", shape=shape, recipe=recipe, progress=lambda phrase: print(phrase, flush=True)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"preset": given.preset, "parameters": done.parameters, "tokens_per_s": done.tokens_per_s, "peak_mib": peak}


if __name__ == "__main__":
    main()
