"""Every architecture meets the same parity test: tiny random models, the eager model as oracle, padded batches."""

from dataclasses import replace

import numpy as np
import pytest
from lighter import first, some

from edgewright.errors import ConversionFailed
from edgewright.registry import load

pytest.importorskip("transformers")
from tiny import ARCHITECTURES, batch, eager, spec

LIMITS = {"fp32": 1e-5, "fp16": 0.01, "int8": 0.15, "int8-static": 0.25, "int4": 0.6}
EVERY_PRECISION = ("Bert", "Albert", "MobileBert", "DebertaV2")


ABOUT = {"task": "text-classification", "labels": '["no", "yes"]', "licence": "mit", "source_sha256": "0" * 64}


def about(precision, model):
    return replace(spec(precision, model), about=ABOUT)


LIGHT = ("Bert", "Albert", "MPNet", "MobileBert", "DebertaV2")
"""The others have layers and positions as BERT has them."""


@pytest.fixture(scope="module", params=some(LIGHT, ARCHITECTURES))
def made(request, tmp_path_factory):
    """The eager model, its opened artifacts by precision and their folder; the costly ones of four families only."""
    model, converter = eager(request.param), load("converters", "onnx")()
    out, runtime = tmp_path_factory.mktemp(request.param), load("runtimes", "onnxruntime")()
    opened = {}
    for precision in converter.precisions if request.param in EVERY_PRECISION else ("fp32", "int8"):
        path = out / f"{precision}.onnx"
        converter.convert(model, about(precision, model), path)
        opened[precision] = runtime.open(path, threads=1)
    return model, opened, out


@pytest.fixture(scope="module")
def artifacts(made):
    return made[:2]


@pytest.mark.parametrize("lengths", [[1], [64], [12, 3, 1], [5, 5]], ids=str)
def test_parity(artifacts, lengths):
    from edgewright.converters._model.eager import run

    model, opened = artifacts
    feeds = batch(lengths, seed=len(lengths))
    want = run(model, feeds)["logits"]
    for precision, session in opened.items():
        got = session.run(feeds)["logits"]
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= LIMITS[precision] * max(1.0, float(np.abs(want).max())), precision


def test_padding_changes_what_it_changes_in_the_eager_model(artifacts):
    """Nothing, but for MobileBERT, which reads each token's neighbours without a mask."""
    from edgewright.converters._model.eager import run

    model, opened = artifacts
    feeds = batch([6, 20])
    alone = {name: array[:1, :6] for name, array in feeds.items()}
    ours = opened["fp32"].run(feeds)["logits"][0] - opened["fp32"].run(alone)["logits"][0]
    eagers = run(model, feeds)["logits"][0] - run(model, alone)["logits"][0]
    assert np.abs(ours - eagers).max() < 1e-5


def test_signature_names_its_free_dimensions(artifacts):
    _, opened = artifacts
    for session in opened.values():
        assert [spec.dtype for spec in session.inputs] == ["int64"] * len(session.inputs)
        assert all(spec.shape == ("batch", "any") for spec in session.inputs)


@pytest.mark.parametrize("made", ["Bert"], indirect=True)
def test_weights_above_the_limit_of_one_file_lie_beside_it(made, tmp_path, monkeypatch):
    model, opened, _ = made
    monkeypatch.setattr("edgewright.converters.onnx._MOST_IN_ONE_FILE", 1000)
    path = tmp_path / "model.onnx"
    load("converters", "onnx")().convert(model, spec("fp32", model), path)
    assert path.with_name("model.onnx.data").stat().st_size > path.stat().st_size
    feeds = batch([7, 2])
    again = load("runtimes", "onnxruntime")().open(path, threads=1).run(feeds)["logits"]
    assert np.array_equal(again, opened["fp32"].run(feeds)["logits"])


def test_precisions_share_a_signature(artifacts):
    _, opened = artifacts
    assert all(session.outputs == opened["fp32"].outputs for session in opened.values())


@pytest.fixture(scope="module")
def bert():
    """A converter that has exported its model, the model, and a spec of it."""
    model = eager("Bert")
    return load("converters", "onnx")(), model, spec("fp32", model)


def lowered(bert, tmp_path, precision, rung=()):
    """The operators of an artifact of the small BERT, by type, and its path."""
    onnx = pytest.importorskip("onnx")
    converter, model, given = bert
    path = tmp_path / f"{precision}{len(rung)}.onnx"
    converter.convert(model, replace(given, precision=precision, keep_float=rung), path)
    types = [node.op_type for node in onnx.load(path).graph.node]
    return {kind: types.count(kind) for kind in types}, path


def test_each_rung_of_int8_static_leaves_more_products_in_float(bert, tmp_path):
    """Of 2 layers with 4 + 2 products and the pooler: all, all but 2, all but 4."""
    rungs = bert[0].ladder("int8-static")
    found = [lowered(bert, tmp_path, "int8-static", rung)[0] for rung in rungs]
    # The products of a layer's query, key and value read one QuantizeLinear; the last layer's query its own row
    assert [f["QuantizeLinear"] for f in found] == [10, 8, 6]
    between = set(rungs[0])
    assert all({kind: f[kind] for kind in between} == {kind: found[0][kind] for kind in between} for f in found)


def test_each_rung_of_int4_leaves_more(bert, tmp_path, monkeypatch):
    monkeypatch.setattr("edgewright.converters._onnx.graph._MIN_TABLE_ELEMENTS", 1000)
    found = [lowered(bert, tmp_path, "int4", rung)[0] for rung in bert[0].ladder("int4")]
    assert [f.get("GatherBlockQuantized", 0) for f in found] == [2, 0, 0]
    assert [f["MatMulNBits"] for f in found] == [13, 13, 11]


def test_static_ranges_come_from_the_calibration_texts(bert, tmp_path):
    converter, model, given = bert
    paths = [tmp_path / "long.onnx", tmp_path / "short.onnx"]
    for path, texts in zip(paths, (given.calibration, given.calibration[:1]), strict=True):
        converter.convert(model, replace(given, precision="int8-static", calibration=texts), path)
    assert paths[0].read_bytes() != paths[1].read_bytes()
    with pytest.raises(ConversionFailed, match="no calibration texts"):
        converter.convert(model, replace(given, precision="int8-static", calibration=[]), tmp_path / "none.onnx")


@pytest.mark.parametrize("precision", first(1, ["int8", "fp32", "int8-static", "int4"]))
def test_the_ort_format_answers_as_the_onnx_file_does(bert, tmp_path, precision, monkeypatch):
    """As its plain form, where products of bytes saturate: ONNX Runtime has no exact one for this format."""
    monkeypatch.setattr(load("runtimes", "onnxruntime").__module__ + ".products_saturate", lambda: False)
    _, model, given = bert
    _, path = lowered(bert, tmp_path, precision)
    load("converters", "ort")().convert(model, replace(given, precision=precision), path.with_suffix(".ort"))
    assert path.with_suffix(".ort").read_bytes()[4:8] == b"ORTM"
    runtime, feeds = load("runtimes", "onnxruntime")(), batch([12, 3, 1])
    want, got = (runtime.open(p, threads=1).run(feeds)["logits"] for p in (path, path.with_suffix(".ort")))
    assert np.abs(got - want).max() < 1e-4


def test_half_of_the_weights_bytes_at_fp16(bert, tmp_path):
    sizes = {p: lowered(bert, tmp_path, p)[1].stat().st_size for p in ("fp32", "fp16")}
    weights = sum(w.numel() for w in bert[1].parameters() if w.numel() >= 1024)
    assert sizes["fp32"] - sizes["fp16"] == pytest.approx(2 * weights, rel=0.05)


def test_a_file_says_what_it_is(made):
    """To Netron and to ONNX Runtime, each precision of itself; and its layers are those of its graph."""
    import json

    import onnx
    import onnxruntime

    from edgewright import __version__
    from edgewright.bundle.onnx_layers import LAYERS, layers_of, unpacked

    _, _, out = made
    for precision in ("fp32", "int8"):
        path = out / f"{precision}.onnx"
        said = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
        proto = onnx.load(str(path))
        assert {**ABOUT, "precision": precision}.items() <= said.items()
        assert json.loads(said["axes"])["input_ids"] == ["batch", "sequence"]
        found = {node: module for node, module in layers_of(proto.graph).items() if module}
        assert unpacked(said[LAYERS]) == found
        assert len(found) > 10
        assert (proto.producer_name, proto.producer_version) == ("edgewright", __version__)


@pytest.mark.parametrize("made", ["Bert"], indirect=True)
def test_the_same_model_makes_the_same_bytes(made, tmp_path):
    """Whether its float form was made for it alone or for another precision, too."""
    model, _, out = made
    for precision in ("fp32", "int8"):
        again = tmp_path / "again.onnx"
        load("converters", "onnx")().convert(model, about(precision, model), again)
        assert again.read_bytes() == (out / f"{precision}.onnx").read_bytes()
