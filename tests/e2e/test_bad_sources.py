"""What comes in broken goes out as one line, exit code 3 or 4, and leaves nothing behind."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO, SENTENCES, edgewright
from safetensors.numpy import load_file, save_file

import edgewright as ew


@pytest.fixture
def model(tmp_path):
    shutil.copytree(DEMO, tmp_path / "model")
    return tmp_path / "model"


def refused(model, *args, check=3):
    out = Path(model).parent / "out"
    line = edgewright("build", model, "--out", out, *args, check=check)
    assert [p.name for p in out.parent.iterdir() if p.name not in ("model", "bad.tsv")] == []
    return line


def config(model, **changes):
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def weights(model, change):
    path = model / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def test_nan_in_the_weights(model):
    def spoil(tensors):
        name = next(n for n in tensors if n.endswith("query.weight"))
        tensors[name][0, 0] = np.nan

    weights(model, spoil)
    assert "hold NaN or infinity" in refused(model)


PLANTED = "from pathlib import Path\nPath({place!r}).write_text('ran')\n"


def test_a_model_that_names_code_of_its_own_runs_none(model, tmp_path):
    place = tmp_path.parent / f"{tmp_path.name}-ran"
    for name in ("configuration_own.py", "modeling_own.py", "tokenization_own.py"):
        (model / name).write_text(PLANTED.format(place=str(place)))
    own = {"AutoConfig": "configuration_own.Own", "AutoModelForSequenceClassification": "modeling_own.Own"}
    config(model, auto_map=own, model_type="of its own")
    path = model / "tokenizer_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}})
    )
    refused(model)
    assert not place.exists()


def test_weights_that_are_a_program_run_nothing(model, tmp_path):
    place = tmp_path.parent / f"{tmp_path.name}-ran"

    class Program:
        def __reduce__(self):
            return (Path.touch, (place,))

    (model / "model.safetensors").unlink()
    with (model / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"classifier.weight": Program()}, file)
    refused(model)
    assert not place.exists()


def test_a_missing_head_is_not_made_up(model):
    def behead(tensors):
        for name in [n for n in tensors if n.startswith("classifier")]:
            del tensors[name]

    weights(model, behead)
    assert "are missing from" in refused(model)


def test_labels_that_do_not_fit_the_head(model):
    config(model, id2label={"0": "bad", "1": "fair", "2": "good"}, label2id={"bad": 0, "fair": 1, "good": 2})
    assert "has the shape [2], config.json asks for [3]" in refused(model)


def test_the_wrong_task(model):
    assert "unknown task" in refused(model, "--task", "poetry", check=2)


def test_unknown_architecture(model):
    config(model, architectures=["FooForSequenceClassification"], model_type="foo")
    assert "foo" in refused(model)


def test_truncated_weights(model):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "corrupt" in refused(model)


def test_a_pickle_is_not_run(model, tmp_path):
    marker = tmp_path / "model" / "was-run"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (marker,))

    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    assert "does not load" in refused(model)
    assert not marker.exists()


def test_a_tokenizer_of_another_model(model):
    config(model, vocab_size=100)
    assert "token id" in refused(model)


def test_broken_data(model):
    (model.parent / "bad.tsv").write_text("sentence\tlabel\ngood\t1\nbad\t7\n")
    assert "line 3" in refused(model, "--data", model.parent / "bad.tsv")


def test_unsupported_precision(model):
    assert "not supported" in refused(model, "--format", "ort", "--precision", "fp16")


def test_memory_limit(model):
    assert "its limit is 300 MiB" in refused(model, "--memory-mib", "300")


def test_time_limit(model):
    assert "longer than its limit of 0.5 s" in refused(model, "--timeout", "0.5")


@pytest.fixture
def outlier(model):
    """A model that int8 cannot carry: one input of a layer is always zero, and its huge weights take all the levels."""

    def blow_up(tensors):
        for name in ("weight", "bias"):
            tensors[f"electra.embeddings.LayerNorm.{name}"][0] = 0
        tensors["electra.embeddings_project.weight"][:, 0] = 10_000

    weights(model, blow_up)
    return model


def test_a_failed_gate_replaces_nothing(outlier, demo_bundle, tmp_path):
    shutil.copytree(demo_bundle, tmp_path / "old")
    line = edgewright("build", outlier, "--out", tmp_path / "old", "--force", check=4)
    assert "nothing was written" in line
    assert "departs in stage quantize, first at electra." in line
    assert ew.verify(tmp_path / "old")


@pytest.mark.heavy
def test_allow_divergence_records_it(outlier):
    edgewright("build", outlier, "--out", outlier.parent / "out", "--allow-divergence", "--data", SENTENCES)
    by = {a.precision: a for a in ew.Bundle.open(outlier.parent / "out").manifest.artifacts}
    assert by["fp32"].parity.diverged is None
    assert "is wanted" in by["int8"].parity.diverged
    assert ew.load(outlier.parent / "out").artifact.precision == "fp32"
