"""edgewright beside what a user would pick instead: bare tokenizers + onnxruntime, Optimum, transformers' pipeline.

    .venv/bin/python tools/peers.py MODEL_DIR [MODEL_DIR ...] --out docs

Everything is interleaved in one run, in fresh processes, on one thread; ratios are of medians, with a 95 % bootstrap
interval over processes. Optimum is installed into an environment of its own below build/peers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright import build
from edgewright.source import open_source
from edgewright.statistics import median

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgewright.bundle import Bundle

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "peers"
TEXT = "a charming and often affecting journey"
OURS = {"fp32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}
OPTIMUM = {"fp32": "optimum-fp32/model.onnx", "int8": "optimum-int8/model_quantized.onnx"}

BARE = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np, onnxruntime
from tokenizers import Tokenizer
bundle, text = sys.argv[1:]
tokenizer = Tokenizer.from_file(bundle + "/tokenizer.json")
tokenizer.no_padding()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
path = bundle + "/onnx/model_quantized.onnx"
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
e = tokenizer.encode(text)
feeds = {"input_ids": e.ids, "attention_mask": e.attention_mask, "token_type_ids": e.type_ids}
out = session.run(None, {i.name: np.array([feeds[i.name]]) for i in session.get_inputs()})[0][0]
print(out.mean(0)[:3] if out.ndim > 1 else out)
"""

PIPELINE = """
import sys
from transformers import pipeline
model, task, text = sys.argv[1:]
print(str(pipeline(task, model=model)(text))[:80])
"""

LATENCY = """
import json, os, sys, time
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np, onnxruntime
path, ids = sys.argv[1], json.loads(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
values = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64),
          "token_type_ids": np.zeros((1, len(ids)), np.int64)}
feeds = {i.name: values[i.name] for i in session.get_inputs()}
end = time.perf_counter() + 0.3
while time.perf_counter() < end:
    session.run(None, feeds)
took = []
for _ in range(60):
    begin = time.perf_counter_ns()
    session.run(None, feeds)
    took.append((time.perf_counter_ns() - begin) / 1e6)
print(sorted(took)[len(took) // 2])
"""

EXPORT = """
import sys
from optimum.exporters.onnx import main_export
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig
model, task, work = sys.argv[1:]
main_export(model, work + "/optimum-fp32", task=task, do_validation=False)
config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
quantizer = ORTQuantizer.from_pretrained(work + "/optimum-fp32")
quantizer.quantize(save_dir=work + "/optimum-int8", quantization_config=config)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="Hugging Face directories")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where peers.json and peers.md go")
    parser.add_argument("--processes", type=int, default=9, help="fresh processes of each side")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    python = _optimum_environment()
    rows = []
    for model in args.models:
        begin = time.perf_counter()
        bundle, work = _prepare(model, python)
        _say(f"{model}: bundles ready after {time.perf_counter() - begin:.0f} s")
        rows += (
            _cold(model, bundle, args.processes) + _layer(model, bundle) + _latency(model, bundle, work, args.processes)
        )
    args.out.mkdir(exist_ok=True)
    (args.out / "peers.json").write_text(json.dumps({"rows": rows}, indent=1) + "\n")
    (args.out / "peers.md").write_text(_markdown(rows))
    print(_markdown(rows))


def _optimum_environment() -> Path:
    home = WORK / "env"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        _say("installing Optimum into an environment of its own")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, "optimum-onnx[onnxruntime]==0.1.0", "transformers<4.58"], check=True)
        (home / "ready").touch()
    return python


def _prepare(model: Path, optimum: Path) -> tuple[Bundle, Path]:
    """The model as our bundle and as Optimum's two files, made anew."""
    work = WORK / f"{model.resolve().parent.name}-{model.name}"
    bundle = build(model, out=work / "bundle", formats=["onnx"], precisions=["fp32", "int8"], force=True)
    _export_optimum(model, bundle.manifest.task, work, optimum)
    return bundle, work


def _export_optimum(model: Path, task: str, work: Path, python: Path) -> None:
    if not (work / OPTIMUM["int8"]).exists():
        argv = [str(python), "-c", EXPORT, str(model), task, str(work)]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)


def optimum_files(model: Path) -> Path:
    """Optimum's int8 ONNX file of a model, made where it is not there yet."""
    work = WORK / f"{model.resolve().parent.name}-{model.name}"
    _export_optimum(model, open_source(model).task, work, _optimum_environment())
    return work / OPTIMUM["int8"]


def _cold(model: Path, bundle: Bundle, processes: int) -> list[dict]:
    """Whole process to the first answer: seconds and the peak of resident memory."""
    home, here = str(bundle.directory), sys.executable
    sides = {
        "edgewright run": [str(Path(here).parent / "edgewright"), "run", home, TEXT, "--precision", "int8"],
        "bare tokenizers + onnxruntime": [here, "-c", BARE, home, TEXT],
        "transformers pipeline": [here, "-c", PIPELINE, str(model), bundle.manifest.task, TEXT],
    }
    samples = interleave({name: partial(_whole, argv) for name, argv in sides.items()}, processes)
    found = []
    for at, unit in enumerate(("s", "MiB")):
        each = {name: [sample[at] for sample in taken] for name, taken in samples.items()}
        base = "edgewright run"
        found += [
            _row(model, f"cold start, int8, {unit}", base, each[base], name, each[name]) for name in list(sides)[1:]
        ]
    return found


def _whole(argv: list[str]) -> tuple[float, float]:
    begin = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    took = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{argv[:3]} ended with {child.returncode}")
    return took, usage.ru_maxrss / 1024


def _layer(model: Path, bundle: Bundle) -> list[dict]:
    """Microseconds of `Session.run` beside `InferenceSession.run` in one process, one call of each in turn."""
    argv = [sys.executable, str(Path(__file__).parent / "peers_layer.py"), str(bundle.directory)]
    found = []
    for tokens in (16, 128):
        ours, bare = json.loads(subprocess.run([*argv, str(tokens)], check=True, capture_output=True, text=True).stdout)
        found.append(
            _row(
                model,
                f"session.run, int8, {tokens} tokens, µs",
                "edgewright session",
                ours,
                "bare InferenceSession",
                bare,
            )
        )
    return found


def _latency(model: Path, bundle: Bundle, work: Path, processes: int) -> list[dict]:
    """Medians of one inference in fresh processes, ours and Optimum's files in the same engine and process script."""
    found = []
    for precision, path in OURS.items():
        for tokens in (16, 128):
            files = {"edgewright": bundle.directory / path, "Optimum 0.1.0": work / OPTIMUM[precision]}
            ids = json.dumps([101, *(1000 + i % 1000 for i in range(tokens - 2)), 102])
            samples = interleave({name: partial(median_ms, file, ids) for name, file in files.items()}, processes)
            ours, theirs = samples["edgewright"], samples["Optimum 0.1.0"]
            found.append(_row(model, f"{precision}, {tokens} tokens, ms", "edgewright", ours, "Optimum 0.1.0", theirs))
    return found


def median_ms(path: Path, ids: str) -> float:
    return float(
        subprocess.run(
            [sys.executable, "-c", LATENCY, str(path), ids], check=True, capture_output=True, text=True
        ).stdout
    )


def interleave(sides: dict[str, Callable[[], object]], turns: int) -> dict[str, list]:
    samples: dict[str, list] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, once in sides.items():
            sample = once()
            if turn:  # the first turn only warms the file cache
                samples[name].append(sample)
    return samples


def _row(model: Path, what: str, name: str, ours: list[float], peer: str, theirs: list[float]) -> dict:
    low, high = interval(ours, theirs)
    a, b = median(sorted(ours)), median(sorted(theirs))
    _say(f"{what}: {name} {a:.4g}, {peer} {b:.4g}, ratio {a / b:.3f}")
    home = model.resolve()
    label = home.parent.name if home.name == "model" else home.name
    ratio = {"ratio": a / b, "ratio_low": low, "ratio_high": high}
    return {
        "model": label,
        "what": what,
        "ours": name,
        "ours_median": a,
        "peer": peer,
        "peer_median": b,
        **ratio,
        "n": len(ours),
    }


def interval(ours: list[float], theirs: list[float], rounds: int = 2000) -> tuple[float, float]:
    rng = random.Random(0)  # noqa: S311 - the bootstrap is no secret
    ratios = sorted(
        median(sorted(rng.choices(ours, k=len(ours)))) / median(sorted(rng.choices(theirs, k=len(theirs))))
        for _ in range(rounds)
    )
    return ratios[int(rounds * 0.025)], ratios[int(rounds * 0.975)]


def _markdown(rows: list[dict]) -> str:
    lines = ["| model | what | edgewright | peer | | ratio (95 % interval) |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r['model']} | {r['what']} | {r['ours_median']:.4g} | {r['peer']} | {r['peer_median']:.4g} "
        f"| {r['ratio']:.2f} ({r['ratio_low']:.2f} to {r['ratio_high']:.2f}) |"
        for r in rows
    ]
    head = (
        "# Peers\n\nMade by `tools/peers.py`: interleaved fresh processes, one thread, batch 1. "
        "A ratio below 1 is in edgewright's favour.\n\n"
    )
    return head + "\n".join(lines) + "\n"


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
