"""Essential architectures meet the same parity test: tiny random models, the eager model as oracle, padded batches.

The others of `tiny.py` convert as exactly, MobileBERT apart (see `edgewright.builder.support`), at half a minute each.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lighter import first
from msgspec import structs
from packages import need

from edgewright.errors import ChildFailed, ConversionFailed, EdgewrightError, EngineError
from edgewright.inference.run_batches import RUN, RunRequest
from edgewright.registry import load
from edgewright.system.child import call

need("transformers", "litert_torch")
import torch  # noqa: E402
from tiny import batch, eager, spec  # noqa: E402

LENGTHS = [[1], [64], [12, 3, 1], [5, 5]]
LIMITS = {"fp32": 1e-5, "fp16": 0.02, "int8": 0.15, "int8-static": 0.5, "int4": 1.5}


def calibrated(precision, model, **fields):
    texts = [batch([n], seed=n) for n in (3, 7, 11, 16, 30, 50, 64)]
    texts = [{name: array for name, array in text.items() if name in model.inputs} for text in texts]
    return replace(spec(precision, model), calibration=texts, **fields)


def opened(path):
    return load("runtimes", "litert")().open(path, threads=1)


def worst(model, session, lengths):
    from edgewright.converters._model.eager import run

    feeds = batch(lengths, seed=len(lengths))
    want, got = run(model, feeds)["logits"], session.run(feeds)["logits"]
    assert got.shape == want.shape
    return float(np.abs(got - want).max()) / max(1.0, float(np.abs(want).max()))


@pytest.fixture(scope="module", params=first(1, ["Roberta", "Albert"]))
def artifacts(request, tmp_path_factory):
    """All precisions of an architecture, from one converter."""
    model, converter = eager(request.param), load("converters", "tflite")()
    out = tmp_path_factory.mktemp(request.param)
    for precision in converter.precisions:
        rung = converter.ladder(precision)[-1]
        converter.convert(model, calibrated(precision, model, keep_float=rung), out / f"{precision}.tflite")
    return model, out


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_precisions_stay_near_the_eager_model(artifacts, precision, lengths):
    model, out = artifacts
    assert worst(model, opened(out / f"{precision}.tflite"), lengths) <= LIMITS[precision]


def constants(path):
    """Bytes of all constants that the file's tables refer to, and of those of its largest signature alone."""
    from edgewright.converters._tflite import file

    model = file.read(path.read_bytes())
    sizes = [0 if buffer.data is None else len(buffer.data) for buffer in model.buffers]
    first = {tensor.buffer for tensor in model.subgraphs[0].tensors}
    every = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    return sum(sizes[at] for at in every), sum(sizes[at] for at in first), len(model.subgraphs)


@pytest.mark.parametrize("precision", LIMITS)
def test_lengths_share_the_weights(artifacts, precision):
    """What each length has of its own is the shapes of its reshapes, and how many positions it reads."""
    model, out = artifacts
    every, first, count = constants(out / f"{precision}.tflite")
    assert count == 3
    assert every - first <= 8000
    assert first <= 4.3 * model.parameters_count()


def test_dense_layers_have_the_weights_of_the_model(artifacts):
    """The exporter alone would multiply a layer norm's weights into them, and no grid of theirs would be left."""
    from edgewright.converters._tflite import file

    model, out = artifacts
    stored = {b.data.tobytes() for b in file.read((out / "fp32.tflite").read_bytes()).buffers if b.data is not None}
    dense = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    changed = {n for n, m in dense.items() if m.weight.detach().numpy().tobytes() not in stored}
    assert len(dense) > 6
    assert all(name.endswith(".query") for name in changed)  # those have the scale of the scores in them


def test_a_table_of_positions_is_none_that_an_input_indexes(artifacts):
    """RoBERTa computes its positions from the ids: random ids are drawn from the words, and 4 bits are for words."""
    from edgewright.converters._tflite import file
    from edgewright.converters._tflite.observe import tables

    model, out = artifacts
    rows = tables(file.read((out / "fp32.tflite").read_bytes()))
    assert rows["input_ids"] == 120
    assert rows["attention_mask"] == 0
    assert set(rows) == set(model.inputs)


def test_int4_weights_are_rounded_for_the_texts(artifacts, tmp_path, monkeypatch):
    from edgewright.converters._rounding import gptq

    model, out = artifacts
    monkeypatch.setattr(gptq, "_inverse_factor", lambda moment: np.eye(len(moment), dtype=np.float32))
    converter = load("converters", "tflite")()
    converter._float = (out / "fp32.tflite").read_bytes()
    converter.convert(model, calibrated("int4", model), tmp_path / "plain.tflite")
    together, alone = (
        np.mean([worst(model, opened(path), [n, n, n, n]) for n in (2, 5, 9, 17, 33)])
        for path in (out / "int4.tflite", tmp_path / "plain.tflite")
    )
    assert together < 0.9 * alone


def test_int4_blocks_that_are_all_zeros_are_run(artifacts, tmp_path):
    """As pruning leaves them: the engine opens no block whose scale is 0."""
    from ai_edge_litert import schema_py_generated as schema

    from edgewright.converters._tflite import file

    model, out = artifacts
    pruned = file.read((out / "fp32.tflite").read_bytes())
    for graph, layer in file.operators(pruned, schema.BuiltinOperator.FULLY_CONNECTED):
        weight = graph.tensors[layer.inputs[1]]
        numbers = np.frombuffer(bytes(pruned.buffers[weight.buffer].data), np.float32).reshape(weight.shape).copy()
        numbers[::2, :32] = 0
        pruned.buffers[weight.buffer].data = numbers.ravel().view(np.uint8)
    converter = load("converters", "tflite")()
    converter._float = file.write(pruned)
    for precision in ("fp32", "int4"):
        converter.convert(model, calibrated(precision, model), tmp_path / f"{precision}.tflite")
    feeds = batch([9], seed=9)
    want, got = (opened(tmp_path / f"{name}.tflite").run(feeds)["logits"] for name in ("fp32", "int4"))
    assert np.abs(got - want).max() < LIMITS["int4"] * max(1.0, np.abs(want).max())


def test_static_layers_over_one_weight_have_the_same_steps(artifacts):
    """LiteRT's cache of packed weights holds the steps of input and output too, and tells weights apart alone."""
    from edgewright.converters._tflite import file

    _, out = artifacts
    model, steps = file.read((out / "int8-static.tflite").read_bytes()), {}
    for graph in model.subgraphs:
        dense = [o for o in graph.operators if len(o.inputs) == 3 and len(graph.tensors[o.inputs[1]].shape) == 2]
        for layer in dense:
            given, weight, got = (graph.tensors[at] for at in (*layer.inputs[:2], layer.outputs[0]))
            if all(t.quantization is not None and t.quantization.scale is not None for t in (given, weight, got)):
                step = [float(t.quantization.scale[0]) for t in (given, got)]
                steps.setdefault(model.buffers[weight.buffer].data.tobytes(), []).append(step)
    assert len(steps) >= 3
    assert all(len(found) >= 3 for found in steps.values())
    assert all(step == found[0] for found in steps.values() for step in found)


def test_lower_precisions_are_smaller(artifacts):
    _, out = artifacts
    sizes = {precision: constants(out / f"{precision}.tflite")[1] for precision in LIMITS}
    assert sizes["int4"] < sizes["int8"] < sizes["fp16"] < sizes["fp32"]


def test_neighbours_and_padding_change_nothing(artifacts):
    _, out = artifacts
    session, feeds = opened(out / "int8.tflite"), batch([6, 20])
    alone = {name: array[:1, :6] for name, array in feeds.items()}
    assert np.array_equal(session.run(feeds)["logits"][0], session.run(alone)["logits"][0])


def test_signature(artifacts):
    model, out = artifacts
    session = opened(out / "int8.tflite")
    assert {s.name for s in session.inputs} == set(model.inputs)
    assert {(s.dtype, s.shape) for s in session.inputs} == {("int32", (1, "any"))}
    assert [(s.name, s.dtype, s.shape) for s in session.outputs] == [("logits", "float32", (1, 2))]
    with pytest.raises(EngineError, match="65 tokens, the artifact takes at most 64"):
        session.run(batch([65]))


CONVERT = """
import sys
from pathlib import Path
sys.path.append("..")
from test_tflite import calibrated, eager, load
model, converter = eager("Roberta"), load("converters", "tflite")()
for precision in ("int8", "int4"):
    converter.convert(model, calibrated(precision, model), Path(sys.argv[1]) / f"{precision}.tflite")
"""


@pytest.mark.heavy
@pytest.mark.parametrize("artifacts", ["Roberta"], indirect=True)
def test_another_process_writes_the_same_bytes(artifacts, tmp_path):
    _, out = artifacts
    argv = [sys.executable, "-c", CONVERT, str(tmp_path)]
    subprocess.run(argv, cwd=Path(__file__).parent, check=True, capture_output=True)
    for precision in ("int8", "int4"):
        assert (tmp_path / f"{precision}.tflite").read_bytes() == (out / f"{precision}.tflite").read_bytes()


class _Unknown(torch.nn.Module):
    inputs, outputs = ("input_ids", "attention_mask"), ("logits",)

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Identity()

    def forward(self, ids, mask):
        return (torch.linalg.svdvals((ids * mask).float())[None],)


def test_an_operator_without_counterpart_is_named(tmp_path):
    model = _Unknown()
    with pytest.raises(ConversionFailed, match="svd") as caught:
        load("converters", "tflite")().convert(model, spec("fp32", model), tmp_path / "m.tflite")
    assert "\n" not in str(caught.value)
    assert "onnx" in caught.value.hint


def damaged(data):
    half = len(data) // 2
    yield "cut", data[:half]
    yield "empty", b""
    yield "another format", b"\x08\x0a" + data[2:4] + b"ONNX" + data[8:]
    yield "root beyond the end", b"\xff\xff\xff\x7f" + data[4:]
    yield "tables overwritten", data[:64] + b"\xff" * (len(data) - 64)


def test_damaged_files_are_one_clear_error(artifacts, tmp_path):
    from edgewright.system import arrays

    _, out = artifacts
    arrays.save(tmp_path / "feeds.npz", [batch([5])])
    for name, data in damaged((out / "int8.tflite").read_bytes()):
        path = tmp_path / "bad.tflite"
        path.write_bytes(data)
        files = {"artifact": path, "feeds": tmp_path / "feeds.npz", "out": tmp_path / "out.npz"}
        with pytest.raises((EngineError, ChildFailed)) as caught:
            call(RUN, RunRequest(name=name, engine="litert", **files))
        assert isinstance(caught.value, EdgewrightError), name
        assert "\n" not in str(caught.value), name


@pytest.mark.heavy
def test_what_the_bisector_taps_opens_and_is_right(tmp_path):
    """A dropout hands on its input: a tensor with two names is nothing that LiteRT's compiled model opens."""
    from edgewright.converters._model import taps
    from edgewright.converters._model.eager import run

    model, feeds = eager("Bert"), batch([9, 4])
    one = {name: feeds[name][:1] for name in model.inputs}
    assert "bert.embeddings.position_embeddings" not in [name for name, _ in taps.find(model, one, "bert.embeddings")]
    for below, least in (("", 2), ("bert.encoder.layer.1", 5)):
        tapped = taps.Tapped(model, taps.find(model, one, below))
        assert len(tapped.taps) >= least
        path, asked = tmp_path / f"{below}.tflite", spec("fp32", model)
        asked = replace(asked, outputs=tapped.outputs, settings=structs.replace(asked.settings, max_length=16))
        load("converters", "tflite")().convert(tapped, asked, path)
        got, want = opened(path).run(feeds), run(tapped, feeds)
        for name in (f"tap_{at}" for at in range(len(tapped.taps))):
            real = feeds["attention_mask"][:, : want[name].shape[1]] == 1
            np.testing.assert_allclose(got[name][real], want[name][real], atol=1e-4)
