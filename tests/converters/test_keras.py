"""Keras sources: a `.keras` file and a SavedModel, run by TensorFlow and converted to TFLite at each precision."""

import importlib.util
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.contracts.converter import ConversionSpec
from edgewright.errors import SourceError, UnsupportedConversion, UsageError
from edgewright.model.keras import is_keras, open_keras
from edgewright.model.source import SourceJob

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is an extra of its own: pip install 'edgewright[tensorflow]'", allow_module_level=True)

DEMO = Path(__file__).parents[2] / "tools" / "demo" / "model"
ROWS = 8400
LIMITS = {"fp32": 1e-5, "fp16": 0.01, "int8": 0.1, "int8-static": 0.3}


@pytest.fixture(scope="module")
def tf():
    from edgewright.converters._model import keras as _keras

    with _keras._quiet():
        import tensorflow as tf

    return tf


def classifier(*, length=None, end=None, masked=True, outputs=2):
    """Embeddings, one attention, their mean, a layer."""
    import keras

    layers, ops = keras.layers, keras.ops
    keras.utils.set_random_seed(1)
    ids = layers.Input((length,), dtype="int32", name="input_ids")
    mask = layers.Input((length,), dtype="int32", name="attention_mask")
    x = layers.Embedding(ROWS, 32)(ids)
    if masked:
        x = x + layers.MultiHeadAttention(2, 16)(x, x, attention_mask=ops.cast(ops.expand_dims(mask, 1), "bool"))
        weights = ops.cast(ops.expand_dims(mask, -1), "float32")
        x = ops.sum(x * weights, 1) / ops.sum(weights, 1)
    else:
        x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(outputs, activation=end, kernel_initializer="random_normal")(layers.Dense(64, "relu")(x))
    return keras.Model({"input_ids": ids, "attention_mask": mask} if masked else ids, x)


@pytest.fixture(scope="module")
def saved(tf, tmp_path_factory):
    """The same model in both forms."""
    out, model = tmp_path_factory.mktemp("keras"), classifier()
    model.save(out / "model.keras")
    model.export(out / "saved", verbose=False)
    assert tf.__version__
    return {"keras": out / "model.keras", "saved": out / "saved"}


def job(path, labels=2, max_length=64):
    settings = Settings(max_length=max_length, labels=tuple(map(str, range(labels))))
    return SourceJob(DEMO, "text-classification", settings, largest_id=0, keras=path)


def batch(lengths):
    rng, longest = np.random.default_rng(3), max(lengths)
    mask = np.array([[int(at < n) for at in range(longest)] for n in lengths])
    ids = np.where(mask, rng.integers(5, ROWS, mask.shape), 0)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def converted(model, precision, out):
    from edgewright.converters._tflite.keras import convert

    texts = [{name: batch([n])[name] for name in model.inputs} for n in (4, 9, 30, 30, 12)]
    settings = Settings(max_length=64, labels=("no", "yes"))
    spec = ConversionSpec(
        precision, model.inputs, model.outputs, texts[0], "text-classification", settings, Path("unread"), texts
    )
    convert(model, spec, out)
    return out


def answers(path, rows):
    """What LiteRT gives for (1, n) arrays in turn, each at its own length."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path), num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    names = runner.get_input_details()
    return np.concatenate([runner(**{n: row[n].astype(np.int32) for n in names})["logits"] for row in rows])


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("form", ["keras", "saved"])
def test_parity(saved, form, precision, tmp_path):
    from edgewright.converters._model import keras as _keras
    from edgewright.text.buckets import rows

    model = _keras.load(job(saved[form]))
    feeds = batch([12, 1, 40, 3])
    want = _keras.run(model, feeds)["logits"]
    got = answers(converted(model, precision, tmp_path / "m.tflite"), rows(feeds))
    assert want.shape == got.shape == (4, 2)
    assert np.abs(got - want).max() <= LIMITS[precision] * max(1.0, float(np.abs(want).max()))


def test_both_forms_are_the_same_model(saved):
    from edgewright.converters._model import keras as _keras

    models = [_keras.load(job(path)) for path in saved.values()]
    assert {model.parameters_count() for model in models} == {models[0].parameters_count()}
    assert models[0].parameters_count() > ROWS * 32
    given = [_keras.run(model, batch([7, 2]))["logits"] for model in models]
    assert np.abs(given[0] - given[1]).max() < 1e-6


def test_int8_is_a_quarter(saved, tmp_path):
    from edgewright.converters._model import keras as _keras

    model = _keras.load(job(saved["keras"]))
    sizes = {p: converted(model, p, tmp_path / p).stat().st_size for p in ("fp32", "fp16", "int8", "int8-static")}
    assert sizes["fp16"] < 0.6 * sizes["fp32"]
    assert max(sizes["int8"], sizes["int8-static"]) < 0.35 * sizes["fp32"]


def test_a_model_without_a_mask_does_not_see_padding(tf, tmp_path):
    from edgewright.converters._model import keras as _keras

    assert tf.__version__
    classifier(masked=False).save(tmp_path / "m.keras")
    model = _keras.load(job(tmp_path / "m.keras"))
    assert model.inputs == ("input_ids",)
    feeds = batch([3, 20])
    alone = {name: array[:1, :3] for name, array in feeds.items()}
    assert np.array_equal(_keras.run(model, feeds)["logits"][:1], _keras.run(model, alone)["logits"])


def test_a_fixed_length_is_padded_and_bounds_the_texts(tf, tmp_path):
    from edgewright.converters._model import keras as _keras

    assert tf.__version__
    classifier(length=32).save(tmp_path / "m.keras")
    with pytest.raises(SourceError, match="takes 32 tokens, the largest length is 64; give --max-length 32"):
        _keras.load(job(tmp_path / "m.keras"))
    model = _keras.load(job(tmp_path / "m.keras", max_length=32))
    feeds = batch([5])
    padded = {name: np.pad(array, ((0, 0), (0, 27))) for name, array in feeds.items()}
    got = answers(converted(model, "fp32", tmp_path / "m.tflite"), [padded])
    assert np.abs(got - _keras.run(model, feeds)["logits"]).max() < 1e-5


def test_a_softmax_at_the_end_is_left_out(tf, tmp_path):
    from edgewright.converters._model import keras as _keras

    assert tf.__version__
    plain, ends = classifier(), classifier(end="softmax")
    ends.save(tmp_path / "m.keras")
    plain.save(tmp_path / "plain.keras")
    want, got = (
        _keras.run(_keras.load(job(tmp_path / name)), batch([9]))["logits"] for name in ("plain.keras", "m.keras")
    )
    assert np.array_equal(got, want)
    ends.export(tmp_path / "saved", verbose=False)
    with pytest.raises(UnsupportedConversion, match="gives probabilities, the task takes logits"):
        _keras.load(job(tmp_path / "saved"))


def test_labels_that_do_not_fit(saved):
    from edgewright.converters._model import keras as _keras

    with pytest.raises(SourceError, match=r"3 labels were given, model\.keras has 2 outputs"):
        _keras.load(job(saved["keras"], labels=3))


def test_operators_that_tflite_does_not_have_are_listed(tf, tmp_path):
    from edgewright.converters._model import keras as _keras

    class Odd(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = tf.Variable(tf.random.stateless_normal((ROWS, 2), (1, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name="input_ids")])
        def __call__(self, input_ids):
            found = tf.reduce_sum(tf.gather(self.table, input_ids), 1)
            return {"logits": tf.math.igamma(tf.math.digamma(found + 100.0), found + 100.0)}

    odd = Odd()
    tf.saved_model.save(odd, str(tmp_path / "saved"), signatures=odd.__call__)
    model = _keras.load(job(tmp_path / "saved"))
    with pytest.raises(UnsupportedConversion, match=r"the model uses tf\.Digamma, tf\.Igamma"):
        converted(model, "fp32", tmp_path / "m.tflite")


# before TensorFlow sees it


def opened(path, **options):
    given = {"tokenizer": DEMO, "task": "text-classification", "labels": ["no", "yes"], "max_length": 64}
    return open_keras(path, **{**given, **options})


def test_a_source(saved):
    assert [is_keras(path) for path in (*saved.values(), DEMO)] == [True, True, False]
    file, directory = (opened(path) for path in saved.values())
    assert (file.architecture, directory.architecture) == ("Functional", "SavedModel")
    assert file.sha256() != directory.sha256()
    assert [path.name for path in file.files()] == ["model.keras", "tokenizer.json"]


@pytest.mark.parametrize(
    ("missing", "words"),
    [({"tokenizer": None}, "needs a tokenizer"), ({"task": None}, "and a task"), ({"labels": []}, "needs labels")],
)
def test_what_must_be_given(saved, missing, words):
    with pytest.raises(UsageError, match=words):
        opened(saved["keras"], **missing)


def test_a_file_that_is_cut(saved, tmp_path):
    for size in (0, 1000, saved["keras"].stat().st_size - 100):
        (tmp_path / "m.keras").write_bytes(saved["keras"].read_bytes()[:size])
        with pytest.raises(SourceError, match=r"no whole \.keras file"):
            opened(tmp_path / "m.keras")
    with pytest.raises(SourceError, match="does not exist"):
        opened(tmp_path / "absent.keras")


def test_a_lambda_layer_is_refused_before_it_is_loaded(tf, tmp_path):
    import keras

    ids = keras.layers.Input((None,), dtype="int32")
    x = keras.layers.Lambda(lambda t: t * 2, name="doubled")(keras.layers.Embedding(ROWS, 2)(ids))
    keras.Model(ids, keras.layers.GlobalAveragePooling1D()(x)).save(tmp_path / "m.keras")
    assert tf.__version__
    with pytest.raises(SourceError, match="holds code in the Lambda layer doubled"):
        opened(tmp_path / "m.keras")


def test_a_lambda_that_hides_from_the_first_look_is_refused_by_the_second(tf, tmp_path):
    import keras

    from edgewright.converters._model import keras as _keras

    ids = keras.layers.Input((None,), dtype="int32")
    x = keras.layers.Lambda(lambda t: t * 2, name="doubled")(keras.layers.Embedding(ROWS, 2)(ids))
    keras.Model(ids, keras.layers.GlobalAveragePooling1D()(x)).save(tmp_path / "m.keras")
    assert tf.__version__
    with pytest.raises(SourceError, match="does not load"):
        _keras.load(job(tmp_path / "m.keras"))


def test_a_file_whose_weights_are_damaged(saved, tmp_path):
    from edgewright.converters._model import keras as _keras

    with zipfile.ZipFile(saved["keras"]) as old, zipfile.ZipFile(tmp_path / "m.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:5000])
    assert json.loads(zipfile.ZipFile(tmp_path / "m.keras").read("metadata.json"))
    with pytest.raises(SourceError):
        _keras.load(job(tmp_path / "m.keras"))


def test_a_saved_model_without_its_variables(saved, tmp_path):
    from edgewright.converters._model import keras as _keras

    shutil.copytree(saved["saved"], tmp_path / "saved")
    shutil.rmtree(tmp_path / "saved" / "variables")
    with pytest.raises(SourceError, match="does not load"):
        _keras.load(job(tmp_path / "saved"))


def test_only_tflite_is_made_of_it(saved, tmp_path):
    import edgewright as ew

    with pytest.raises(UnsupportedConversion, match="converts to tflite only, not to onnx"):
        ew.build(saved["keras"], out=tmp_path / "b", tokenizer=DEMO, task="text-classification", labels=["no", "yes"])
    assert not (tmp_path / "b").exists()
