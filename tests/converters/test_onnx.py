"""Every architecture meets the same parity test: tiny random models, the eager model as oracle, padded batches."""

import numpy as np
import pytest

from edgewright.contracts import ConversionSpec
from edgewright.registry import load

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 120, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
    "max_position_embeddings": 70,
}  # fmt: skip
ARCHITECTURES = {
    "Bert": {},
    "Electra": {"embedding_size": 24},
    "Roberta": {"type_vocab_size": 1, "pad_token_id": 1},
    "DistilBert": {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96},
    "Albert": {"embedding_size": 24},
    "MPNet": {},
    "MobileBert": {"embedding_size": 24, "intra_bottleneck_size": 24, "true_hidden_size": 24},
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
}
LIMITS = {"fp32": 1e-5, "int8": 0.15}


def eager(kind):
    from edgewright.converters._eager import Eager, _inputs

    torch.manual_seed(7)
    config = getattr(transformers, f"{kind}Config")(**SIZES, **ARCHITECTURES[kind])
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    for parameter in model.parameters():  # the default initialisation is too small to show an error
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    return Eager(model, _inputs(model), ("logits",))


def batch(lengths, seed=0):
    rng, longest = np.random.default_rng(seed), max(lengths)
    mask = np.array([[int(at < n) for at in range(longest)] for n in lengths])
    ids = np.where(mask, rng.integers(5, 120, mask.shape), 1)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def artifacts(request, tmp_path_factory):
    """The eager model and its opened artifacts by precision."""
    model, converter = eager(request.param), load("converters", "onnx")()
    out, runtime = tmp_path_factory.mktemp(request.param), load("runtimes", "onnxruntime")()
    opened = {}
    for precision in converter.precisions:
        example = {name: array for name, array in batch([9, 4]).items() if name in model.inputs}
        path = out / f"{precision}.onnx"
        converter.convert(model, ConversionSpec(precision, model.inputs, model.outputs, example, 64), path)
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
    example = {name: array for name, array in batch([9, 4]).items() if name in model.inputs}
    path = tmp_path / "model.onnx"
    load("converters", "onnx")().convert(model, ConversionSpec("fp32", model.inputs, model.outputs, example, 64), path)
    assert path.with_name("model.onnx.data").stat().st_size > path.stat().st_size
    feeds = batch([7, 2])
    again = load("runtimes", "onnxruntime")().open(path, threads=1).run(feeds)["logits"]
    assert np.array_equal(again, opened["fp32"].run(feeds)["logits"])


def test_precisions_share_a_signature(artifacts):
    _, opened = artifacts
    assert opened["int8"].outputs == opened["fp32"].outputs
