"""Holds a bundle of a decoder against llama.cpp on the very same weights, and writes its table in docs/generation.md.

    npm pack @node-llama-cpp/linux-x64 && tar xzf node-llama-cpp-linux-x64-*.tgz
    pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36 && tar xzf llama_cpp_python-*.tar.gz
    .venv/bin/python tools/writing_peer.py BUNDLE MODEL.gguf DIRECTORY [--threads 1] [--format onnx]
        [--int8-cache BUNDLE]

DIRECTORY is where both were unpacked: the first has llama.cpp's libraries, compiled for each kind of CPU, the second
declarations of its C interface. The bundle was built from MODEL.gguf; llama.cpp makes its own f32 and q8_0 of it.
The second bundle was built with --int8-cache, and has rows of its own; llama.cpp's cache is float16 in all of them.
Another format has a table of its own on the page, with a row for each of its precisions.

Each side is a process of its own, and each round asks one after the other for a few tokens, so that what else the
machine does meets both. With one thread the time is that of the processor, by the thread's own clock; with more it is
the wall clock's, and says something on a quiet machine alone. An argmax is part of a token on both sides.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import types
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/generation.md"
MARK = "<!-- tools/writing_peer.py{} -->"
"""Of ONNX it stands alone, of other formats with their name."""
PASTS = (128, 448)
"""Tokens in the cache: a question with its instructions, and a talk of some turns."""
ROUNDS, TOKENS, PREFILL, MOST = 12, 16, 128, 600
CLASSES = (("fp32", "f32", 0), ("int8", "q8_0", 7), ("int4", "Q4_1", None))
"""Of each precision llama.cpp's counterpart, and its number in llama.h (LLAMA_FTYPE_*); None is the file as it is."""
TEXTS = ROOT / "sdk/proof/gate_prose.json"


class Edgewright:
    """A bundle's artifact."""

    def __init__(self, bundle: str, precision: str, name: str, threads: int) -> None:
        import edgewright as ew

        self.session = ew.load(bundle, precision=precision, format=name, threads=threads).session
        self.step = self.session.step

    def prompt(self, ids: list[int]) -> Any:
        """Read them into an empty cache."""
        self.session.rewind(0)
        return self.session.prompt(ids)

    def rewind(self, length: int) -> None:
        """Forget what came behind."""
        self.session.rewind(length)


class Llama:
    """A GGUF file in llama.cpp, by its C interface."""

    def __init__(self, place: str, path: str, threads: int) -> None:
        self.c, self.length = interface(Path(place)), 0
        self.model = self.c.llama_model_load_from_file(path.encode(), self.c.llama_model_default_params())
        params = self.c.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = 1024, 512, 512
        params.n_threads = params.n_threads_batch = threads
        self.context = self.c.llama_init_from_model(self.model, params)
        self.words = self.c.llama_vocab_n_tokens(self.c.llama_model_get_vocab(self.model))
        self.batch = self.c.llama_batch_init(512, 0, 1)

    def prompt(self, ids: list[int]) -> Any:
        """Read them into an empty cache."""
        self.rewind(0)
        return self._read(ids)

    def step(self, token: int) -> Any:
        """Read one more."""
        return self._read([token])

    def rewind(self, length: int) -> None:
        """Forget what came behind."""
        self.c.llama_memory_seq_rm(self.c.llama_get_memory(self.context), 0, length, -1)
        self.length = length

    def _read(self, ids: list[int]) -> Any:
        batch = self.batch
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, self.length + at, 1
            batch.seq_id[at][0], batch.logits[at] = 0, at == len(ids) - 1
        if self.c.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode")
        self.length += len(ids)
        return np.ctypeslib.as_array(self.c.llama_get_logits_ith(self.context, -1), shape=(self.words,))


def interface(place: Path) -> Any:
    """llama.cpp's functions, quiet, with the kernels of this CPU."""
    libraries = place / "package/bins/linux-x64"
    (sources,) = place.glob("llama_cpp_python-*/")
    for name in ("ggml", "llama"):  # as the binding calls them
        link = libraries / f"lib{name}.so"
        if not link.exists():
            link.symlink_to(next(libraries.glob(f"lib{name}.v*.so")).name)
    os.environ["LLAMA_CPP_LIB_PATH"] = str(libraries)
    package = types.ModuleType("llama_cpp")  # of its own it would import what the declarations have no use for
    package.__path__ = [str(sources / "llama_cpp")]
    sys.modules["llama_cpp"] = package
    declared: Any = importlib.import_module("llama_cpp._ctypes_extensions")
    of_library = declared.ctypes_function_for_shared_library
    declared.ctypes_function_for_shared_library = lambda library: partial(_known, library, of_library(library))
    found: Any = importlib.import_module("llama_cpp.llama_cpp")
    found.kept = found.llama_log_callback(lambda *_: None)
    found.llama_log_set(found.kept, None)
    found.llama_backend_init()
    load = ctypes.CDLL(str(libraries / "libggml.so")).ggml_backend_load_all_from_path
    load.argtypes = [ctypes.c_char_p]
    load(str(libraries).encode())
    return found


def _known(library: Any, declare: Any, name: str, taken: Any, given: Any, enabled: bool = True) -> Any:  # noqa: FBT001, FBT002
    """Declare a function where the library has it: the declarations are some days newer."""
    return declare(name, taken, given, enabled and hasattr(library, name))


def serve(side: Any, threads: int, began: float) -> None:
    """Answer what is asked on standard input, a line of JSON for a line of JSON."""
    clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(side, asked, clock, began)), flush=True)


def answer(side: Any, asked: dict[str, Any], clock: Any, began: float) -> Any:
    """One answer: milliseconds of tokens or of a prompt, losses, or what the start took."""
    ids = asked["ids"]
    if asked["what"] == "decode":
        side.rewind(len(ids))
        token, took = 5, []
        for _ in range(TOKENS):
            begin = clock()
            token = int(side.step(token).argmax())
            took.append((clock() - begin) / 1e6)
        return took[1:]
    if asked["what"] == "losses":
        losses = []
        for at, token in enumerate(ids[:-1]):
            logits = np.asarray(side.prompt([token]) if at == 0 else side.step(token), np.float64)
            most = logits.max()
            losses.append(float(most + math.log(np.exp(logits - most).sum()) - logits[ids[at + 1]]))
        return losses
    begin = clock()
    int(side.prompt(ids).argmax())
    took_ms = (clock() - begin) / 1e6
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    return {"ms": took_ms, "cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.time() - began, "peak_mib": peak}


class Process:
    """A side, in a process of its own."""

    def __init__(self, *argv: str, threads: int) -> None:
        words = [sys.executable, __file__, "--side", *argv, "--threads", str(threads), "--began", str(time.time())]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str, ids: list[int]) -> Any:
        """Its answer."""
        assert self.process.stdin  # noqa: S101 - they are pipes
        assert self.process.stdout  # noqa: S101
        self.process.stdin.write(json.dumps({"what": what, "ids": ids}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin  # noqa: S101
        self.process.stdin.close()
        self.process.wait(60)


def compared(ours: list[str], theirs: list[str], ids: list[int], threads: int) -> dict[str, Any]:
    """Both sides in turn: medians of a token at each length, of a prompt, and of three starts; and their losses."""
    sides = {name: Process(*argv, threads=threads) for name, argv in (("ours", ours), ("theirs", theirs))}
    found: dict[str, Any] = {}
    for past in PASTS:
        for side in sides.values():
            side.ask("prompt", ids[:past])
        rounds = [{name: side.ask("decode", ids[:past]) for name, side in sides.items()} for _ in range(ROUNDS + 1)]
        took = {name: median(ms for one in rounds[1:] for ms in one[name]) for name in sides}
        found[f"at {past}"] = took
    reads = [{name: side.ask("prompt", ids[:PREFILL])["ms"] for name, side in sides.items()} for _ in range(5)]
    found["prefill"] = {name: median(one[name] for one in reads[1:]) for name in sides}
    losses = {name: side.ask("losses", ids[:MOST]) for name, side in sides.items()}
    found["perplexity"] = {name: math.exp(math.fsum(some) / len(some)) for name, some in losses.items()}
    for side in sides.values():
        side.end()
    starts = [
        {name: started(argv, ids, threads) for name, argv in (("ours", ours), ("theirs", theirs))} for _ in range(3)
    ]
    for key in ("wall_s", "cpu_s", "peak_mib"):
        found[key] = {name: median(one[name][key] for one in starts) for name in sides}
    return found


def started(argv: list[str], ids: list[int], threads: int) -> dict[str, float]:
    """From the start of a process to its first token after a prompt of 32."""
    side = Process(*argv, threads=threads)
    found: dict[str, float] = side.ask("prompt", ids[:32])
    side.end()
    return found


def quantized(place: Path, gguf: Path, kind: int | None, name: str, work: Path) -> Path:
    """llama.cpp's own file of a kind, from the same weights."""
    if kind is None:
        return gguf
    out, c = work / f"{name}.gguf", interface(place)
    params = c.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = kind, True
    if c.llama_model_quantize(str(gguf).encode(), str(out).encode(), ctypes.byref(params)):
        raise RuntimeError(f"llama.cpp cannot make {name} of {gguf}")
    return out


def page(found: dict[str, Any], threads: int, name: str) -> str:
    """The table."""
    from edgewright.system.machine import machine

    clock = "the processor's time" if threads == 1 else "time on the wall"
    words = (
        f"Written by `tools/writing_peer.py{_option(name)}`: llama.cpp 0.5.0 (node-llama-cpp's libraries),",
        f"{machine()['model']}, {threads} thread{'s' * (threads > 1)}, {clock}, in turn.",
        "A ratio is edgewright's speed by llama.cpp's: above 1 edgewright is quicker.",
        "A start is from a process's own to its first token.",
    )
    columns = ("artifact", "held against", *(f"decode at {past} tokens, tok/s" for past in PASTS))
    columns += (f"prefill of {PREFILL}, ms", "a start, s of CPU", "peak, MiB", f"perplexity of {MOST - 1} tokens")
    lines = [MARK.format(_option(name)), *words, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for precision, (kind, row) in found.items():
        cells = [precision, kind]
        for past in PASTS:
            ours, theirs = (1e3 / row[f"at {past}"][name] for name in ("ours", "theirs"))
            cells.append(f"{ours:.1f} and {theirs:.1f}: **{ours / theirs:.2f}**")
        ours, theirs = (row["prefill"][name] for name in ("ours", "theirs"))
        cells.append(f"{ours:.0f} and {theirs:.0f}: **{theirs / ours:.2f}**")
        cells.append("{ours:.2f} and {theirs:.2f}".format(**row["cpu_s"]))
        cells.append("{ours:.0f} and {theirs:.0f}".format(**row["peak_mib"]))
        cells.append("{ours:.2f} and {theirs:.2f}".format(**row["perplexity"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _option(name: str) -> str:
    return "" if name == "onnx" else f" --format {name}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--began", type=float, default=0.0)
    parser.add_argument("--only")
    parser.add_argument("--int8-cache")
    parser.add_argument("--format", default="onnx")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    if asked.side:
        kind = {"edgewright": Edgewright, "llama": Llama}[asked.side]
        serve(kind(*asked.words, asked.threads), asked.threads, asked.began)
        return
    bundle, gguf, place = asked.words
    import edgewright as ew

    has = {one.precision for one in ew.Bundle.open(bundle).manifest.artifacts if one.format == asked.format}
    ids = ew.load(bundle, precision="int8", format=asked.format).ids(
        " ".join(json.loads(TEXTS.read_text(encoding="utf-8")).values())
    )
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        for precision, name, kind in CLASSES:
            if asked.only not in (None, precision) or precision not in has:
                continue
            theirs = str(quantized(Path(place), Path(gguf), kind, name, Path(work)))
            for ours, label in ((bundle, precision), (asked.int8_cache, f"{precision}, int8 cache")):
                if ours and (ours == bundle or precision != "fp32"):
                    row = compared(
                        ["edgewright", ours, precision, asked.format], ["llama", place, theirs], ids, asked.threads
                    )
                    found[label] = name, row
                    print(label, json.dumps(row, indent=1), flush=True)
    text = page(found, asked.threads, asked.format)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARK.format(_option(asked.format)))
    after = re.sub(r"\A.*?\n\n\|[^\n]*(?:\n\|[^\n]*)*", "", rest, flags=re.DOTALL)  # behind the table
    if rest and asked.only is None and asked.threads == 1:
        PAGE.write_text(f"{before}{text}{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
