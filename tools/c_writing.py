"""What the C core writes held against Python's generator, token by token.

    tools/c_writing.py [BUNDLE...] [--emulated [CPU...]]

Made for it are a bundle of ../shared's stories260K, where it is there, and tiny random ones of GPT-2's, Llama's and
Qwen's shape, each for ONNX Runtime and for LiteRT; bundles that are given are asked in the same way, and measured: C
and Python in turn, a process each. Of stories260K there are greedy answers after a hundred sentences besides; pieces of
real text, cut anywhere, go through the stream alone. On an emulated board nothing is measured, and what is not written
as here is asked of the board's own Python too. KINDS=llama,gpt2 makes these alone, TOKENS=30 writes no more of them
each time. docs/apps.md has the last result.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c_machines import Machine

    from edgewright.bundle.manifest import Artifact

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
GREEDY = int(os.environ.get("TOKENS", "200"))
FORMATS = ("onnx", "tflite")
CUTS = 5_000
SENTENCES, AFTER_EACH = 100, min(GREEDY, 60)
TURNS = 5
"""Processes of each side: medians of fewer jump about."""
PROMPTS = ("", "Once upon a time", "The old man said", "Lily had a red ball. One day", "é 😀 <s> the end", "then " * 40)
SEEDED = (
    {"temperature": 0.8, "top_k": 50, "seed": 1},
    {"temperature": 1.0, "top_p": 0.9, "repetition_penalty": 1.1, "seed": 2**40 + 7},
    {"temperature": 1.3, "min_p": 0.05, "no_repeat_ngram_size": 4, "seed": 0},
)
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256},
    "llama": {"head_dim": 16, "num_key_value_heads": 2},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16},
}
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
PYTHON = """
import sys, time
import edgewright
with edgewright.load(sys.argv[1], threads=1, careful=False) as writer:
    asked = [{"role": "user", "content": sys.argv[2]}] if writer.has_template else sys.argv[2]
    for _ in writer.stream(asked, max_new_tokens=int(sys.argv[3]), ignore_end=True):
        pass
    print(writer.last.tokens_per_s)
"""
LAUNCH = """
import os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 1, 2)])
_, status, usage = os.wait4(child, 0)
took = time.perf_counter() - began
print()
print(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, end="", flush=True)
sys.exit(status != 0)
"""
sys.path[:0] = [str(ROOT / "tests" / "exporting"), str(ROOT / "tests" / "generation"), str(ROOT / "tools")]

import c_machines  # noqa: E402
import c_programs  # noqa: E402
import c_writers as core  # noqa: E402
import test_text_stream as streams  # noqa: E402
from c_machines import HERE  # noqa: E402

import edgewright  # noqa: E402
from edgewright.bundle.bundle import Bundle  # noqa: E402
from edgewright.errors import SourceError  # noqa: E402
from edgewright.exporting.c import export_c  # noqa: E402


def shaped(kind: str, root: Path) -> Path:
    """A directory of a random model with a byte-level tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = streams.byte_level()
    words = tokenizer.get_vocab_size() + 8  # transformers adds a family's own special token
    torch.manual_seed(3)
    end = tokenizer.token_to_id("<end>")
    common = {"vocab_size": words, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    sizes = SHAPES[kind] if kind == "gpt2" else {**SMALL, **SHAPES[kind]}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **common, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(root)
    tokenizer.save(str(root / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "model_max_length": 256}
    (root / "tokenizer_config.json").write_text(json.dumps(said))
    return root


def bundles(scratch: Path) -> list[Path]:
    """What is made for it."""
    asked: dict[str, Any] = {"task": "text-generation", "formats": FORMATS, "allow_divergence": True}
    asked["progress"] = lambda _: None
    made = []
    named = os.environ.get("KINDS", "")
    kinds = named.split(",") if named else ("stories260K", *SHAPES)
    stories = DATA.parent / "models" / "stories260K"
    if stories.is_dir() and "stories260K" in kinds:
        edgewright.build(
            stories / "stories260K.bin", out=scratch / "stories260K", precisions=["fp32", "fp16", "int8"], **asked
        )
        made.append(scratch / "stories260K")
    for kind in (one for one in SHAPES if one in kinds):
        source = shaped(kind, scratch / "sources" / kind)
        edgewright.build(source, out=scratch / kind, precisions=["fp32", "int8"], **asked)
        made.append(scratch / kind)
    return made


def sentences() -> list[str]:
    """Real ones, to begin with."""
    with gzip.open(DATA / "tatoeba" / "eng-spa.tsv.gz", "rt", encoding="utf-8") as file:
        return [row.split("\t")[0] for _, row in zip(range(SENTENCES), file, strict=False)]


def rounds(bundle: Path, ways: dict[str, str]) -> list[tuple[list[Any], dict[str, Any]]]:
    """What is asked of a bundle, in a process each: prompts, conversations, and settings."""
    with edgewright.load(bundle, careful=False, **ways) as writer:
        try:
            chats = [[{"role": "user", "content": words}] for words in (*PROMPTS[1:4], "a <|im_end|> b")] * bool(
                writer.template
            )
        except SourceError:
            chats = []
        asked = [*(one for one in PROMPTS if writer.ids(one)), *chats]
    common = {"ignore_end": not chats, "max_new_tokens": GREEDY}
    found: list[tuple[list[Any], dict[str, Any]]] = [(asked, {**common, **settings}) for settings in ({}, *SEEDED)]
    if bundle.name == "stories260K":
        found.append((["", *sentences()], {"ignore_end": True, "max_new_tokens": AFTER_EACH}))
    return found


def compared(program: Path, bundle: Path, artifact: Artifact, assets: Path) -> tuple[int, int]:
    """How many answers there were of a program of this machine, and how many are not Python's."""
    count, _, wrong = held(HERE, program, bundle, artifact, assets)
    return count, wrong


def held(machine: Machine, program: Path, bundle: Path, artifact: Artifact, assets: Path) -> tuple[int, int, int]:
    """How many answers there were, how many are not Python's here, and how many not the machine's Python's."""
    ways = {"format": artifact.format, "precision": artifact.precision}
    count = others = wrong = 0
    for asked, settings in rounds(bundle, ways):
        found = core.written(program, assets, asked, settings, machine=machine)
        mine = [
            one.why if one.code else [one.tokens, one.pieces, one.reason, one.prompt_tokens, one.reused]
            for one in found
        ]
        unlike, bad, theirs = c_machines.unlike(machine, "written", bundle, asked, mine, settings, **ways)
        count, others, wrong = count + len(asked), others + len(unlike), wrong + len(bad)
        for at in unlike:
            same = zip(found[at].tokens, theirs[at][0], strict=False)
            first = next((i for i, (a, b) in enumerate(same) if a != b), -1)
            whose = "" if at in bad or machine is HERE else "here, not of its own Python, "
            print(f"  unlike {whose}from token {first}:", settings, repr(asked[at])[:60], found[at].why, flush=True)
    return count, others, wrong


def cut(program: Path, bundle: Path, assets: Path) -> int:
    """How many pieces of real text are streamed into something else than decoding them at once gives."""
    backend, chance = Bundle.open(bundle).tokenizer(), random.Random(11)  # noqa: S311 - no secret
    with gzip.open(DATA / "tatoeba" / "eng-spa.tsv.gz", "rt", encoding="utf-8") as file:
        texts = [part for _, row in zip(range(4 * CUTS), file, strict=False) for part in row.split("\t")[:2]]
    texts += json.loads((DATA / "strings" / "naughty-strings.json").read_text(encoding="utf-8"))
    cases = []
    for _ in range(CUTS):
        ids = backend.ids(" ".join(chance.sample(texts, 2)), special=False)
        start = chance.randrange(max(len(ids) - 1, 1))
        cases.append(((), [], ids[start : start + chance.randrange(1, 80)]))
    found = core.streamed(program, assets / "tokenizer.bin", cases)
    return sum("".join(pieces) != backend.decode(ids) for (_, _, ids), (pieces, _) in zip(cases, found, strict=True))


def costs(argv: list[Any]) -> tuple[float, float, float, str]:
    """Seconds from start to end, of CPU, peak memory in MiB, and what it said.

    A small process starts it: Linux counts the memory of who forked as the new program's.
    """
    asked = [sys.executable, "-S", "-c", LAUNCH, *(str(word) for word in argv)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    said, _, numbers = done.stdout.rpartition("\n")
    took, cpu, memory = map(float, numbers.split())
    return took, cpu, memory, said


def measured(sample: Path, bundle: Path, artifact: Artifact, assets: Path) -> None:
    """C and Python in turn: start to first token, memory, tokens a second at one thread."""
    os.environ["EW_ENGINE"] = str(c_programs.engine(assets))
    chosen = f"threads=1, format={artifact.format!r}, precision={artifact.precision!r}"
    python = PYTHON.replace("threads=1", chosen)
    rows: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for tokens in (1, 128):
            settings = json.dumps({"max_new_tokens": tokens, "ignore_end": True})
            for side, argv in (
                ("C", [sample, "--stats", "--huge-pages", "--settings", settings, assets, "Once upon a time"]),
                ("Python", [sys.executable, "-c", python, bundle, "Once upon a time", tokens]),
            ):
                wall, cpu, memory, said = costs(argv)
                speed = said.rsplit(" tokens at ", 1)[1].split("/")[0] if side == "C" else said.split()[-1]
                found = (
                    (("first, s", wall), ("first, CPU s", cpu))
                    if tokens == 1
                    else (("MiB", memory), ("tokens/s", float(speed)))
                )
                for name, value in found:
                    rows.setdefault(f"{side} {name}", []).append(value)
    for name in ("first, s", "first, CPU s", "MiB", "tokens/s"):
        mine, theirs = (statistics.median(rows[f"{side} {name}"]) for side in ("C", "Python"))
        print(f"  {name}: C {mine:.3f}, Python {theirs:.3f}, ratio {mine / theirs:.3f}", flush=True)


def main() -> int:
    wrong = 0
    args = options()
    with tempfile.TemporaryDirectory() as scratch:
        machines = c_machines.machines(args)
        programs = [core.compiled(Path(scratch, f"writing-{one.name}"), machine=one) for one in machines]
        for bundle in [*bundles(Path(scratch)), *args.bundle]:
            exported: list[tuple[Artifact, Path]] = []
            for artifact in Bundle.open(bundle).manifest.artifacts:
                if artifact.format not in FORMATS:
                    continue
                out = Path(scratch, "c", bundle.name, artifact.key.replace("/", "-"))
                out.parent.mkdir(parents=True, exist_ok=True)
                exported.append((artifact, out))
                export_c(bundle, out=out, format=artifact.format, precision=artifact.precision)  # type: ignore[arg-type]
                for machine, program in zip(machines, programs, strict=True):
                    count, others, bad = held(machine, program, bundle, artifact, out / "assets")
                    wrong += bad
                    said = f"{machine.name}: {bundle.name} {artifact.key}: {others} of {count} answers differ"
                    print(said, "" if machine is HERE else f"from Python here, {bad} from its own", flush=True)
            if args.emulated is not None:
                continue
            if DATA.is_dir() and bundle.name in ("stories260K", *(one.name for one in args.bundle)):
                bad = cut(programs[0], bundle, out / "assets")
                wrong += bad
                print(f"{bundle.name}: {bad} of {CUTS} cuts differ", flush=True)
            for artifact, out in exported if bundle in args.bundle else ():
                build = Path(scratch, "build", out.name)
                for argv in (["cmake", "-S", out, "-B", build], ["cmake", "--build", build]):
                    subprocess.run(argv, check=True, capture_output=True)
                print(f"{bundle.name} {artifact.key}:", flush=True)
                measured(build / "sample", bundle, artifact, out / "assets")
    return int(wrong > 0)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="*", type=Path)
    c_machines.add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
