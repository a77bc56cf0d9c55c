"""Every architecture meets the same parity test: tiny random models, the eager model as oracle, padded batches."""

import numpy as np
import pytest

from edgewright.registry import load

pytestmark = pytest.mark.slow
pytest.importorskip("transformers")
from tiny import ARCHITECTURES, batch, eager, spec  # noqa: E402

LIMITS = {"fp32": 1e-5, "int8": 0.15}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def artifacts(request, tmp_path_factory):
    """The eager model and its opened artifacts by precision."""
    model, converter = eager(request.param), load("converters", "onnx")()
    out, runtime = tmp_path_factory.mktemp(request.param), load("runtimes", "onnxruntime")()
    opened = {}
    for precision in converter.precisions:
        path = out / f"{precision}.onnx"
        converter.convert(model, spec(precision, model), path)
        opened[precision] = runtime.open(path, threads=1)
    return model, opened


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("lengths", [[1], [64], [12, 3, 1], [5, 5]], ids=str)
def test_parity(artifacts, precision, lengths):
    from edgewright.converters._eager import run

    model, opened = artifacts
    feeds = batch(lengths, seed=len(lengths))
    want, got = run(model, feeds)["logits"], opened[precision].run(feeds)["logits"]
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= LIMITS[precision] * max(1.0, float(np.abs(want).max()))


def test_padding_changes_what_it_changes_in_the_eager_model(artifacts):
    """Nothing, but for MobileBERT, which reads each token's neighbours without a mask."""
    from edgewright.converters._eager import run

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


def test_weights_above_the_limit_of_one_file_lie_beside_it(artifacts, tmp_path, monkeypatch):
    model, opened = artifacts
    monkeypatch.setattr("edgewright.converters.onnx._MOST_IN_ONE_FILE", 1000)
    path = tmp_path / "model.onnx"
    load("converters", "onnx")().convert(model, spec("fp32", model), path)
    assert path.with_name("model.onnx.data").stat().st_size > path.stat().st_size
    feeds = batch([7, 2])
    again = load("runtimes", "onnxruntime")().open(path, threads=1).run(feeds)["logits"]
    assert np.array_equal(again, opened["fp32"].run(feeds)["logits"])


def test_precisions_share_a_signature(artifacts):
    _, opened = artifacts
    assert opened["int8"].outputs == opened["fp32"].outputs
