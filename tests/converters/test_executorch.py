"""Architectures meet the same parity test: tiny random models, the eager model as oracle, padded batches.

A conversion takes ten seconds and more however small the model is, so here it is the one that differs most: a shared
layer (ALBERT) at int4. The other precisions are those of the demo model, fp16 that of `e2e/test_matrix.py`; DeBERTa,
which has no attention hook, is in the table of `tools/matrix`.
"""

import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import ChildFailed, EngineError
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.registry import load
from edgewright.system import arrays, child

pytest.importorskip("transformers")
pytest.importorskip("executorch")
import tiny
import torch

LIMITS = {"int4": 0.5}
CASES = [("Albert", "int4")]


def convert(kind, precision, path):
    """Convert a tiny model whose widths hold whole groups of int4; give the eager model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiny.SIZES, "hidden_size", 64)
        model = tiny.eager(kind)
    texts = [tiny.batch([length], seed=length) for length in (3, 9, 17, 40)]
    taken = [{name: text[name] for name in model.inputs} for text in texts]
    load("converters", "executorch")().convert(model, replace(tiny.spec(precision, model), calibration=taken), path)
    return model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The eager model and the path of its artifact, converted once."""
    folder, known = tmp_path_factory.mktemp("made"), {}

    def make(kind, precision):
        if (kind, precision) not in known:
            path = folder / f"{kind}-{precision}.pte"
            known[kind, precision] = convert(kind, precision, path), path
        return known[kind, precision]

    return make


@pytest.fixture(scope="module", params=CASES, ids="/".join)
def artifact(request, made):
    """The eager model, its opened artifact and the precision."""
    model, path = made(*request.param)
    return model, load("runtimes", "executorch")().open(path, threads=1), request.param[1]


@pytest.fixture(scope="module")
def good(made):
    """A file that opens."""
    return made("Albert", "int4")[1]


@pytest.mark.parametrize("lengths", [[1], [64], [12, 3, 1], [5, 5]], ids=str)
def test_parity(artifact, lengths):
    from edgewright.converters._model.eager import run

    model, session, precision = artifact
    feeds = tiny.batch(lengths, seed=len(lengths))
    want, got = run(model, feeds)["logits"], session.run(feeds)["logits"]
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= LIMITS[precision] * max(1.0, float(np.abs(want).max()))


def test_the_file_itself_says_what_it_takes_and_gives(artifact):
    model, session, _ = artifact
    assert [(s.name, s.dtype, s.shape) for s in session.inputs] == [(n, "int64", (1, "length")) for n in model.inputs]
    assert [(s.name, s.dtype, s.shape) for s in session.outputs] == [("logits", "float32", (1, 2))]


def test_a_text_that_is_too_long_is_one_error(artifact):
    _, session, _ = artifact
    with pytest.raises(EngineError, match="failed on 65 tokens"):
        session.run(tiny.batch([65]))
    session.run(tiny.batch([64]))


def test_sessions_share_one_pool_of_threads(good):
    if os.cpu_count() == 1:
        pytest.skip("one core: no second number of threads")
    code = (
        "import sys, os; from pathlib import Path; from edgewright.registry import load\n"
        "runtime, path = load('runtimes', 'executorch')(), Path(sys.argv[1])\n"
        "first = runtime.open(path, threads=1)\n"
        "try: runtime.open(path, threads=2)\n"
        "except Exception as error: print(error)\n"
        "del first; before = len(os.listdir('/proc/self/task')); second = runtime.open(path, threads=2)\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    lines = subprocess.run([sys.executable, "-c", code, good], capture_output=True, check=True, text=True).stdout
    refused, more = lines.splitlines()
    assert refused.startswith("executorch has a session with 1 threads open, 2 were asked; its threads belong to")
    assert more == "1"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:0], "has the identifier '', this executorch reads 'ET12'"),
        (lambda data: data[:1000], "executorch refuses bad.pte"),
        (lambda data: data[: len(data) // 2], "executorch refuses bad.pte"),
        (lambda data: data[:4] + b"ET99" + data[8:], "has the identifier 'ET99', this executorch reads 'ET12'"),
        (lambda data: data[:8] + bytes(64) + data[72:], "executorch refuses bad.pte"),
    ],
    ids=["empty", "cut early", "cut in the middle", "another version", "header of zeros"],
)
def test_a_damaged_file_is_one_error(good, tmp_path, damage, words):
    (tmp_path / "bad.pte").write_bytes(damage(good.read_bytes()))
    arrays.save(tmp_path / "feeds.npz", [tiny.batch([5])])
    files = {"artifact": tmp_path / "bad.pte", "feeds": tmp_path / "feeds.npz", "out": tmp_path / "out.npz"}
    with pytest.raises((EngineError, ChildFailed), match=words):
        child.call(RUN, RunRequest(name="bad", engine="executorch", **files))


def test_a_file_of_another_maker_is_refused(tmp_path):
    import torch
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(torch.nn.Linear(3, 2).eval(), (torch.ones(1, 3),))
    (tmp_path / "other.pte").write_bytes(to_edge_transform_and_lower(program).to_executorch().buffer)
    with pytest.raises(EngineError, match=r"has the methods forward; forward and get_signature are wanted"):
        load("runtimes", "executorch")().open(tmp_path / "other.pte", threads=1)


@pytest.mark.heavy
def test_the_same_model_makes_the_same_bytes(good, tmp_path):
    code = (
        f"import sys; from pathlib import Path; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_executorch import convert; convert('Albert', 'int4', Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "again.pte"], check=True, env=environment)
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (good, tmp_path / "again.pte")}
    assert len(hashes) == 1


def test_a_weight_that_is_a_constant_as_well_lies_in_the_file_once():
    """ExecuTorch's own reader finds the same bytes under every name."""
    from executorch.exir._serialize._named_data_store import NamedDataStore
    from executorch.exir._serialize._program import PTEFile, deserialize_pte_binary, serialize_pte_binary
    from executorch.exir.schema import Buffer, Program, SubsegmentOffsets

    from edgewright.converters._executorch.shared import shared

    table, other, small, last = (np.random.default_rng(0).bytes(size) for size in (100_003, 5000, 300, 70_000))
    store = NamedDataStore()
    for name, data in (("before", other), ("head", table), ("small", small), ("after", last)):
        store.add_named_data(name, data, alignment=16)
    constants = [Buffer(b""), Buffer(small), Buffer(table), Buffer(other[:4999])]
    program = Program(0, [], constants, [], [], SubsegmentOffsets(0, []))
    whole = bytes(serialize_pte_binary(PTEFile(program, named_data=store.get_named_data_store_output())))
    once = shared(whole)
    assert len(whole) - len(table) <= len(once) < len(whole) - len(table) + 4096
    assert once.count(table) == 1
    for read in map(deserialize_pte_binary, (whole, once)):
        kept = [bytes(one.storage).rstrip(b"\0") for one in read.program.constant_buffer]
        assert kept == [bytes(one.storage).rstrip(b"\0") for one in constants]
        named = {name: read.named_data.buffers[one.buffer_index] for name, one in read.named_data.pte_data.items()}
        assert named == {"before": other, "head": table, "small": small, "after": last}
    assert shared(once) == once


class _Joined(torch.nn.Module):
    """A norm over batches, an activation in place, a function composed of others, one that XNNPACK takes and one
    like it that it does not, and more tensors put together than it takes at once."""

    def __init__(self):
        super().__init__()
        self.dense, self.norm, self.alone = torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.BatchNorm2d(8)
        for norm in (self.norm, self.alone):
            torch.nn.init.normal_(norm.running_mean)

    def forward(self, x):
        x = self.alone(self.norm(self.dense(x))[:, :, None, None])[:, :, 0, 0]
        x = torch.nn.functional.silu(self.dense(x).relu_())
        square = x.reshape(-1, 1, 2, 4)
        pools = [
            torch.nn.functional.max_pool2d(square, 2, stride=2),
            torch.nn.functional.max_pool2d(square, 1, stride=2),
        ]
        return torch.cat([x, x + 1, x * 2, x - 1, x * 3, *(pool.flatten(1) for pool in pools)], 1)


def lowered(*ways):
    """The bytes of a program that is lowered in some of the ways that take less time."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    torch.manual_seed(5)
    program = torch.export.export(_Joined().eval(), (torch.ones(4, 8),))
    config = EdgeCompileConfig(_check_ir_validity=False)
    with ExitStack() as stack:
        for way in ways:
            stack.enter_context(way())
        edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()], compile_config=config)
    return bytes(edge.to_executorch().buffer)


@pytest.mark.heavy
def test_what_is_left_out_of_lowering_would_have_changed_nothing():
    """ExecuTorch's own way is the oracle."""
    from edgewright.converters._executorch import lower

    every = lowered()
    assert lowered(lower._passes_that_find_something) == every
    assert lowered(lower._decomposed_once) == every


@pytest.mark.heavy
@pytest.mark.parametrize("word", ["batch_norm", "cat", "relu"])
def test_a_pass_whose_operator_is_there_is_not_left_out(monkeypatch, word):
    """Without it, what XNNPACK does not take is left, or an activation by itself."""
    from edgewright.converters._executorch import lower

    none = ("no such operator",)
    known = {name: none if word in had else had for name, had in lower._LOOKED_FOR.items()}
    monkeypatch.setattr(lower, "_LOOKED_FOR", known)
    if word == "relu":
        assert lowered(lower._passes_that_find_something) != lowered()
        return
    with pytest.raises((RuntimeError, ValueError)):
        lowered(lower._passes_that_find_something)
