"""A translator from nothing: pairs in, a directory that writes what it was taught, and that transformers opens."""

import pytest

from edgewright.errors import DataError, StorageError, UsageError
from edgewright.training import Recipe, train, translators

PAIRS = {
    "Turn on the lights.": "Enciende las luces.",
    "Turn off the lights.": "Apaga las luces.",
    "Lock the door.": "Cierra la puerta con llave.",
    "Open the door.": "Abre la puerta.",
    "Where is the cat?": "¿Dónde está el gato?",
    "Where is the dog?": "¿Dónde está el perro?",
    "Play the music.": "Pon la música.",
    "Stop the music.": "Para la música.",
}
TINY = translators.Shape(64, 2, 128, 1, 1, vocabulary=120, positions=32)
RECIPE = Recipe(learning_rate=5e-3, epochs=50, batch=8, evaluations=1, threads=1, weight_decay=0.0)


@pytest.fixture
def shape(monkeypatch):
    monkeypatch.setitem(translators.SHAPES, "marian-tiny", TINY)
    return "marian-tiny"


@pytest.fixture
def pairs(tmp_path):
    return written(tmp_path / "pairs.tsv", PAIRS.items())


def written(path, rows):
    path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
    return path


@pytest.mark.slow
def test_pairs_are_learnt_and_transformers_says_the_same(shape, pairs, tmp_path):
    import torch
    from transformers import AutoTokenizer, MarianMTModel

    trained = train(shape, pairs, pairs, tmp_path / "out", task="translation", recipe=RECIPE)
    assert (trained.metric, trained.seen, trained.scored) == ("chrf", 8, 8)
    assert trained.first < 30
    assert trained.score > 75
    assert not (tmp_path / "out-begun").exists()
    assert not (tmp_path / "out-training").exists()
    model, tokenizer = (kind.from_pretrained(tmp_path / "out") for kind in (MarianMTModel, AutoTokenizer))
    model.eval()
    assert model.lm_head.weight is model.model.shared.weight, "tied tables stay one"
    assert not model.model.shared.weight[model.config.pad_token_id].any(), "decoding begins with nothing"
    with torch.inference_mode():
        said = [
            tokenizer.decode(model.generate(**tokenizer(text, return_tensors="pt"))[0], skip_special_tokens=True)
            for text in PAIRS
        ]
    assert sum(a == b for a, b in zip(said, PAIRS.values(), strict=True)) >= 5


def test_a_pair_without_one_of_its_sides_is_named_by_its_line(tmp_path):
    from edgewright.bundle.manifest import Settings
    from edgewright.data import rows
    from edgewright.tasks.translation import Translation

    path = written(tmp_path / "pairs.tsv", [("Lock it.", "Cierra."), ("Open it.", " ")])
    with pytest.raises(DataError, match="1 broken rows: line 3: a pair without its target"):
        rows.examples(path, Translation(Settings(max_length=8)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([], "pairs.tsv has no rows"),
        ([("Lock it.", "Cierra."), ("Open it.", " ")], "1 broken rows: line 3: a pair without its target"),
    ],
)
def test_pairs_that_cannot_be_learnt_leave_nothing_behind(shape, tmp_path, rows, shown):
    """Else the mended file would meet an unfinished run with a tokenizer of the broken one."""
    path = written(tmp_path / "pairs.tsv", rows)
    with pytest.raises(DataError, match=shown):
        train(shape, path, path, tmp_path / "out", task="translation")
    assert [one.name for one in tmp_path.iterdir()] == ["pairs.tsv"]


def test_a_translator_is_no_model_of_another_task(shape, pairs, tmp_path):
    with pytest.raises(UsageError, match="is a new translator, it has no task text-classification"):
        train(shape, pairs, pairs, tmp_path / "out", task="text-classification")


def test_what_is_there_is_not_replaced(shape, pairs, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="out exists"):
        train(shape, pairs, pairs, tmp_path / "out")
    assert not (tmp_path / "out-begun").exists()


@pytest.mark.slow
def test_a_run_that_was_begun_is_not_begun_again(shape, pairs, tmp_path):
    (tmp_path / "out-begun").mkdir()
    with pytest.raises(StorageError, match="out-begun is of an unfinished run"):
        train(shape, pairs, pairs, tmp_path / "out")


def test_a_model_whose_targets_have_a_tokenizer_of_their_own_is_not_trained(pairs, tmp_path):
    (tmp_path / "opus").mkdir()
    (tmp_path / "opus" / "target.spm").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"opus has a tokenizer for each side"):
        train(tmp_path / "opus", pairs, pairs, tmp_path / "out")


def test_the_shapes_are_as_large_as_their_names_say():
    """By hand: embedding, and of each layer 4 (encoder) or 8 (decoder) squares and both products of feed-forward."""
    for name, shape in translators.SHAPES.items():
        square, fed = shape.width**2, 2 * shape.width * shape.feed_forward
        layers = shape.encoder_layers * (4 * square + fed) + shape.decoder_layers * (8 * square + fed)
        wanted = float(name.removeprefix("marian-").removesuffix("m"))
        assert (shape.vocabulary * shape.width + layers) / 1e6 == pytest.approx(wanted, abs=0.6)
