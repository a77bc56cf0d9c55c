"""Steps on a real tiny model: what they leave is really smaller, opens everywhere, and a chain of them goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from edgewright import build, load, registry
from edgewright.compression import chain
from edgewright.compression.chain import compress
from edgewright.errors import DataError, StorageError, UsageError
from edgewright.model.source import open_source
from edgewright.training import Recipe, train

pytestmark = pytest.mark.slow

WORDS = (["bright", "calm", "kind", "warm", "fine"], ["dark", "cold", "cruel", "grim", "lost"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(5)
    for name, count in (("train", 192), ("dev", 64)):
        labels = rng.integers(0, 2, count)
        texts = [
            " ".join([*rng.choice(WORDS[1 - label], 2), "sea", "and", "night"][: rng.integers(1, 5)])
            for label in labels
        ]
        rows = [f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)]
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    return {"train": folder / "train.tsv", "dev": folder / "dev.tsv"}


@pytest.fixture(scope="module")
def model(_source, files, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "trained"
    train(_source, files["train"], files["dev"], out, recipe=Recipe(learning_rate=2e-3, epochs=6, batch=16, threads=1))
    return out


def run(model, files, tmp_path, *steps, **options):
    path = tmp_path / "recipe.toml"
    lines = []
    for use, fields in steps:
        lines += ["[[step]]", f'use = "{use}"', *(f"{key} = {json.dumps(value)}" for key, value in fields.items())]
    path.write_text("\n".join(lines) + "\n")
    out = tmp_path / "small"
    return compress(model, path, out, threads=1, cache=tmp_path / "cache", **files, **options), out


def test_a_chain_is_scored_at_every_step_and_what_it_leaves_builds(model, files, tmp_path):
    steps = [
        ("trim-vocabulary", {}),
        ("prune-heads", {"amount": 0.5, "batches": 4}),
        ("prune-ffn", {"keep": 32, "batches": 4}),
        ("train", {"learning_rate": 1e-3, "epochs": 3.0, "batch": 16}),
    ]
    stages, out = run(model, files, tmp_path, *steps)
    assert [stage.step for stage in stages] == ["source", *(name for name, _ in steps)]
    sizes = [stage.parameters for stage in stages]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] == sizes[4]
    assert stages[1].score == stages[0].score
    assert stages[4].score >= 85
    weights = load_file(out / "model.safetensors")
    kept = [weights[f"bert.encoder.layer.{at}.attention.self.query.weight"].shape[0] for at in (0, 1)]
    assert sum(kept) == 32
    assert weights["bert.encoder.layer.0.intermediate.dense.weight"].shape[0] == 32
    bundle = build(out, out=tmp_path / "bundle", formats=["onnx"], precisions=["fp32"], data=files["dev"])
    assert all(artifact.score.value == pytest.approx(stages[4].score, abs=2) for artifact in bundle.manifest.artifacts)
    assert load(bundle, precision="fp32")("bright and warm")[0]["label"] == "positive"
    assert not (tmp_path / "small-steps").exists()


def test_zeros_are_where_they_shall_be_and_nowhere_else(model, files, tmp_path):
    before = load_file(model / "model.safetensors")
    (_, stage), out = run(model, files, tmp_path, ("prune-magnitude", {"sparsity": 0.5}))
    after = load_file(out / "model.safetensors")
    layers = [name for name in after if ".layer." in name and after[name].ndim == 2]
    zeros = sum((after[name] == 0).sum() for name in layers) / sum(after[name].size for name in layers)
    assert zeros == pytest.approx(0.5, abs=0.002)
    for name in set(after) - set(layers):
        assert np.array_equal(after[name], before[name])
    assert stage.nonzero < stage.parameters
    assert stage.compressed_bytes < 0.85 * stage.size_bytes


def test_zeros_that_come_little_by_little_stay_to_the_end(model, files, tmp_path):
    fields = {"sparsity": 0.7, "scope": "layer", "epochs": 4.0, "learning_rate": 1e-3, "batch": 16}
    (_, stage), out = run(model, files, tmp_path, ("prune-magnitude", fields))
    after = load_file(out / "model.safetensors")
    for name in (name for name in after if ".layer." in name and after[name].ndim == 2):
        assert (after[name] == 0).mean() == pytest.approx(0.7, abs=0.002)
    assert stage.score >= 80


@pytest.mark.parametrize("weighted", [False, True])
def test_a_factorised_embedding_gives_what_the_wide_one_gave(model, files, tmp_path, weighted):
    import torch
    from transformers import AutoModelForSequenceClassification as Auto

    _, out = run(model, files, tmp_path, ("factorize-embedding", {"width": 28, "batches": 6, "weighted": weighted}))
    wide, narrow = Auto.from_pretrained(model).bert, Auto.from_pretrained(out).electra
    ids = torch.tensor([[2, *range(30, 50), 3]])
    with torch.inference_mode():
        wanted = wide.embeddings(ids)
        found = narrow.embeddings_project(narrow.embeddings(ids))
    assert ((found - wanted).norm() / wanted.norm()).item() < 0.5
    # No direction that a layer norm leaves empty is blown up: dropout and bfloat16 would make noise of it
    assert torch.linalg.matrix_norm(narrow.embeddings_project.weight, 2).item() < 50
    assert narrow.embeddings.word_embeddings.weight.shape[1] == 28


def test_a_table_that_is_not_narrower_is_refused(model, files, tmp_path):
    with pytest.raises(UsageError, match="a table 32 wide, the model's is 32"):
        run(model, files, tmp_path, ("factorize-embedding", {"width": 32}))


def test_a_student_in_a_chain_learns_from_the_first_model(model, files, tmp_path):
    steps = [
        ("prune-layers", {"count": 1}),
        ("distill", {"alpha": 0.0, "learning_rate": 2e-3, "epochs": 6.0, "batch": 16}),
    ]
    stages, _ = run(model, files, tmp_path, *steps)
    assert stages[-1].parameters < stages[0].parameters
    assert stages[-1].score >= 90


def test_finished_steps_are_not_done_again(model, files, tmp_path):
    said = []
    bad = ("prune-layers", {"keep": [0, 9]})
    with pytest.raises(UsageError, match="layer 9 is asked, the model has 2"):
        run(model, files, tmp_path, ("trim-vocabulary", {}), bad)
    assert not (tmp_path / "small").exists()
    with pytest.raises(StorageError, match="holds unfinished steps"):
        run(model, files, tmp_path, ("trim-vocabulary", {}), ("prune-layers", {"keep": [1]}))
    good = ("prune-layers", {"keep": [1]})
    stages, out = run(model, files, tmp_path, ("trim-vocabulary", {}), good, resume=True, progress=said.append)
    assert "step 1 of 2, trim-vocabulary: done before" in said
    assert len(stages) == 3
    assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 1


def test_what_fails_before_a_step_has_begun_leaves_nothing_that_stands_in_the_way(model, files, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{\n")
    with pytest.raises(DataError, match="line 1"):
        run(model, {**files, "train": bad}, tmp_path, ("trim-vocabulary", {}))
    assert not (tmp_path / "small-steps").exists()


def test_a_note_of_another_version_is_measured_anew(model, files, tmp_path):
    with pytest.raises(UsageError, match="layer 9 is asked"):
        run(model, files, tmp_path, ("trim-vocabulary", {}), ("prune-layers", {"keep": [0, 9]}))
    note = tmp_path / "small-steps/00-source.json"
    note.write_text(note.read_text().replace("compressed_bytes", "transfer_bytes"))
    stages, _ = run(model, files, tmp_path, ("trim-vocabulary", {}), ("prune-layers", {"keep": [1]}), resume=True)
    assert stages[0].compressed_bytes < stages[0].size_bytes


def test_a_step_is_not_done_again_because_its_score_was_not_taken(model, files, tmp_path, monkeypatch):
    step = ("prune-layers", {"keep": [1]})
    taken = chain._score

    def dies(source, setting):
        if source.origin != model:
            raise KeyboardInterrupt
        return taken(source, setting)

    with monkeypatch.context() as patch:
        patch.setattr(chain, "_score", dies)
        with pytest.raises(KeyboardInterrupt):
            run(model, files, tmp_path, step)
    patched = registry.load("compression.steps", "prune-layers")
    monkeypatch.setattr(patched, "apply", lambda *_: pytest.fail("it was done before"))
    stages, _ = run(model, files, tmp_path, step, resume=True)
    assert [stage.step for stage in stages] == ["source", "prune-layers"]
    assert stages[1].seconds >= 0
    assert stages[1].score is not None


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (("prune-ffn", {}), "either amount or keep"),
        (("prune-movement", {"sparsity": 0.5, "epochs": 0.0}), "epochs is 0.0"),
        (("prune-movement", {"sparsity": 0.5, "copies": 2}), "copies needs a teacher"),
        (("distill", {"teacher": ""}), "distill needs a teacher"),
        (("quantize-aware", {"to": "int4", "learning_rate": 0.0}), "learning_rate is 0.0"),
        (("prune-layers", {"keep": [1, 0]}), "not in order"),
        (("train", {"learning_rate": -1.0}), "learning_rate is -1.0"),
    ],
)
def test_what_a_model_cannot_take_is_said_before_anything_begins(model, files, tmp_path, step, words):
    with pytest.raises(UsageError, match=words):
        run(model, files, tmp_path, ("trim-vocabulary", {}), step)
    assert not (tmp_path / "small-steps").exists()


MOVEMENT = {"sparsity": 0.7, "epochs": 5.0, "learning_rate": 1e-3, "batch": 16, "evaluations": 1}


def shares_of(folder):
    """Of each matrix in the layers the share of zeros, and its size."""
    arrays = load_file(folder / "model.safetensors")
    return [
        ((array == 0).mean(), array.size) for name, array in arrays.items() if ".layer." in name and array.ndim == 2
    ]


def test_scores_choose_what_is_left_of_the_matrices(model, files, tmp_path):
    before = load_file(model / "model.safetensors")
    (_, stage), out = run(model, files, tmp_path, ("prune-movement", MOVEMENT))
    after = load_file(out / "model.safetensors")
    assert set(after) == set(before)
    shares, sizes = zip(*shares_of(out), strict=True)
    assert np.average(shares, weights=sizes) == pytest.approx(0.7, abs=0.002)
    assert max(shares) - min(shares) > 0.005
    name = "bert.encoder.layer.0.attention.self.query.weight"
    sizes = np.abs(before[name])
    assert sizes[after[name] == 0].max() > 1.1 * sizes[after[name] != 0].min()  # by size alone it would be below it
    assert stage.score >= 80


class Killed(Exception):
    pass


@pytest.mark.heavy
def test_movement_that_was_killed_ends_with_the_same_bits(model, files, tmp_path):
    def say(phrase):
        if phrase.startswith("step 40 of"):
            raise Killed

    step = ("prune-movement", {**MOVEMENT, "epochs": 4.0, "scope": "layer", "teacher": "first"})
    with pytest.raises(Killed):
        run(model, files, tmp_path, step, progress=say)
    assert not (tmp_path / "small").exists()
    _, out = run(model, files, tmp_path, step, resume=True)
    (tmp_path / "again").mkdir()
    _, whole = run(model, files, tmp_path / "again", step)
    found, wanted = (load_file(folder / "model.safetensors") for folder in (out, whole))
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in wanted.items()
    }
    assert [share for share, _ in shares_of(out)] == pytest.approx([0.7] * 12, abs=0.002)


def test_weights_are_trained_on_a_grid_of_4_bits(model, files, tmp_path):
    from edgewright.converters._rounding.gptq import own_scales

    fields = {"to": "int4", "epochs": 3.0, "learning_rate": 1e-3, "batch": 16, "evaluations": 1, "teacher": "first"}
    (first, stage), out = run(model, files, tmp_path, ("quantize-aware", fields))
    before, after = (load_file(folder / "model.safetensors") for folder in (model, out))
    assert set(after) == set(before)
    matrices = {name for name in after if after[name].ndim == 2}
    assert {name for name in matrices if not own_scales(after[name].reshape(-1, 32)).all()} == {
        "bert.embeddings.position_embeddings.weight",
        "classifier.weight",
    }
    assert stage.score >= first.score - 10


@pytest.mark.heavy
def test_a_conversion_finds_the_grid_again(tmp_path):
    """Of the demo model: int8 activations alone are left as an error. Without the step 26 dB were seen, with it 46."""
    demo, few = Path(__file__).parents[2] / "tools/demo", tmp_path / "few.tsv"
    few.write_text("".join((demo / "sentences.tsv").read_text().splitlines(keepends=True)[:33]))
    rows = dict.fromkeys(("train", "dev"), few)
    _, out = run(demo / "model", rows, tmp_path, ("quantize-aware", {"to": "int4", "epochs": 1.0, "evaluations": 1}))
    built = build(out, out=tmp_path / "bundle", formats=["onnx"], precisions=["int4"]).manifest.artifacts
    assert [artifact.parity.sqnr_db > 35 for artifact in built] == [True]


def test_the_largest_weights_of_8_bits_are_127_times_their_scale(model, files, tmp_path):
    fields = {"to": "int8", "activations": False, "epochs": 1.0, "batch": 16, "evaluations": 1}
    _, out = run(model, files, tmp_path, ("quantize-aware", fields))
    weight = load_file(out / "model.safetensors")["bert.encoder.layer.0.intermediate.dense.weight"]
    codes = weight / (np.abs(weight).max(1, keepdims=True) / 127)
    assert np.abs(codes - np.rint(codes)).max() < 1e-3


def test_a_width_that_makes_no_whole_blocks_is_refused(model, files, tmp_path):
    narrow = ("factorize-embedding", {"width": 28, "weighted": True, "batches": 2})
    words = "a scale for 32 weights, electra.embeddings.word_embeddings is 28 wide"
    with pytest.raises(UsageError, match=words):
        run(model, files, tmp_path, narrow, ("quantize-aware", {"to": "int4"}))


def test_fewer_positions_give_short_texts_the_same_outputs(model, files, tmp_path):
    stages, out = run(model, files, tmp_path, ("trim-positions", {"length": 16}), ("store", {"dtype": "float32"}))
    assert stages[-1].score == stages[0].score
    assert stages[-1].parameters == stages[0].parameters - 48 * 32
    assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == 16
    assert open_source(out).settings.max_length == 16
    with pytest.raises(UsageError, match="shall leave 65 tokens, the model takes 64"):
        run(model, files, tmp_path, ("trim-positions", {"length": 65}))


def test_half_of_the_bytes_are_stored_and_a_limit_is_held(model, files, tmp_path):
    stages, out = run(model, files, tmp_path, ("store", {}))
    assert load_file(out / "model.safetensors")["classifier.weight"].dtype == np.float16
    assert stages[1].size_bytes < 0.6 * stages[0].size_bytes
    (tmp_path / "less").mkdir()
    with pytest.raises(UsageError, match=r"the model has \d+ bytes, at most 1000 are wanted"):
        run(model, files, tmp_path / "less", ("store", {"max_bytes": 1000}))


def test_a_model_without_linear_layers_is_refused_before_anything_begins(model, files, tmp_path):
    strange = Path(shutil.copytree(model, tmp_path / "strange"))
    config = json.loads((strange / "config.json").read_text())
    gpt2 = {"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"], "n_embd": 32, "n_head": 2}
    (strange / "config.json").write_text(json.dumps({**config, **gpt2}))
    with pytest.raises(UsageError, match="prune-movement finds no linear layers in the layers of a gpt2"):
        run(strange, files, tmp_path, ("prune-movement", {"sparsity": 0.5}))
    assert not (tmp_path / "small-steps").exists()
