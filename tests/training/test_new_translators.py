"""A translator from nothing: pairs in, a directory that writes what it was taught, and that transformers opens."""

import hashlib
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from edgewright.errors import DataError, SourceError, StorageError, UsageError
from edgewright.training import Distillation, Recipe, distill, distilling, train, translators

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


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A trained model and the directory around it; its own search has three beams."""
    folder = tmp_path_factory.mktemp("taught")
    pairs = written(folder / "pairs.tsv", PAIRS.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(translators.SHAPES, "marian-tiny", TINY)
        trained = train("marian-tiny", pairs, pairs, folder / "out", task="translation", recipe=RECIPE)
    return SimpleNamespace(trained=trained, home=folder / "out", folder=folder)


def answers(home, texts, **how):
    """What transformers writes, as long as the model's positions allow: a search may end otherwise where it is cut."""
    import torch
    from transformers import AutoTokenizer, MarianMTModel

    model, tokenizer = (kind.from_pretrained(home) for kind in (MarianMTModel, AutoTokenizer))
    with torch.inference_mode():
        return [
            tokenizer.decode(
                model.eval().generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=TINY.positions, **how)[0],
                skip_special_tokens=True,
            )
            for text in texts
        ]


@pytest.mark.slow
def test_pairs_are_learnt_and_transformers_says_the_same(taught):
    from transformers import MarianMTModel

    trained = taught.trained
    assert (trained.metric, trained.seen, trained.scored) == ("chrf", 8, 8)
    assert trained.first < 30
    assert trained.score > 75
    assert not (taught.folder / "out-begun").exists()
    assert not (taught.folder / "out-training").exists()
    model = MarianMTModel.from_pretrained(taught.home)
    assert model.lm_head.weight is model.model.shared.weight, "tied tables stay one"
    assert not model.model.shared.weight[model.config.pad_token_id].any(), "decoding begins with nothing"
    assert sum(a == b for a, b in zip(answers(taught.home, PAIRS), PAIRS.values(), strict=True)) >= 5


@pytest.mark.slow
def test_a_student_is_trained_on_what_the_teacher_s_own_search_finds(taught, shape, pairs, tmp_path):
    """A kill in the middle costs what was not written yet, and a source is translated once."""
    teacher, cache = tmp_path / "teacher", tmp_path / "cache"
    shutil.copytree(taught.home, teacher)
    config = json.loads((teacher / "generation_config.json").read_text())
    (teacher / "generation_config.json").write_text(json.dumps({**config, "num_beams": 3}))
    with pairs.open("a", encoding="utf-8") as file:
        file.write("Turn on the lights.\tOtra cosa.\n")
    asked = {"student": shape, "cache": cache, "recipe": replace(RECIPE, epochs=1)}
    distill(teacher, pairs, pairs, tmp_path / "out", **asked)
    (kept,) = cache.iterdir()
    found = [json.loads(line) for line in (kept / "rows.jsonl").read_text().splitlines()]
    assert [row["source"] for row in found] == list(PAIRS)
    assert [row["target"] for row in found] == answers(teacher, PAIRS, num_beams=3)
    settings = json.loads((tmp_path / "out" / "training" / "training.json").read_text())["settings"]
    assert settings["train"] == hashlib.sha256((kept / "rows.jsonl").read_bytes()).hexdigest()

    whole = (kept / "rows.jsonl").read_text()
    part = kept.rename(kept.with_name(kept.name + ".part"))
    (part / "rows.jsonl").unlink()
    (part / "translations.jsonl").write_text(json.dumps({"source": found[0]["source"], "target": "Antes."}) + '\n{"so')
    distill(teacher, pairs, pairs, tmp_path / "again", **asked)
    first, *rest = (kept / "rows.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(first)["target"] == "Antes.", "what was there is not asked again"
    assert rest == whole.splitlines(keepends=True)[1:]

    for damaged, why in (("\0\n", "no translation"), ('{"source": 3}\n', "no translation"), ("{", "another")):
        part = kept.rename(kept.with_name(kept.name + ".part"))
        (part / "rows.jsonl").unlink()
        other = json.dumps({"source": "Another.", "target": "Otra."}) + "\n" if why == "another" else ""
        (part / "translations.jsonl").write_text(other + damaged)
        with pytest.raises(StorageError, match=rf"{part.name}/translations\.jsonl .*{why}.*; remove it"):
            distill(teacher, pairs, pairs, tmp_path / "never", **asked)
        (part / "rows.jsonl").write_text(whole)
        part.rename(kept)


@pytest.mark.slow
def test_a_teacher_s_rows_are_read_by_the_names_that_a_user_gave_to_columns(taught, tmp_path):
    from edgewright.data import rows
    from edgewright.model.source import open_source
    from edgewright.tasks.translation import Translation
    from edgewright.training.translations import translated

    teacher = open_source(taught.home)
    (tmp_path / "pairs.tsv").write_text("English\tSpanish\nLock the door.\tCierra.\n")
    with rows.called("English", "Spanish"):
        found = translated(teacher, tmp_path / "pairs.tsv", cache=tmp_path / "cache", progress=lambda _: None)
        (example,) = rows.examples(found, Translation(teacher.settings))
    assert [example.item, example.label] == ["Lock the door.", *answers(taught.home, ["Lock the door."])]


@pytest.mark.slow
def test_what_is_not_for_a_translator_s_student_is_said_before_the_teacher_begins(taught, shape, pairs, tmp_path):
    def asked(**given):
        distill(taught.home, pairs, pairs, tmp_path / "out", cache=tmp_path / "cache", **given)

    with pytest.raises(UsageError, match="a translator's student must be named"):
        asked()
    with pytest.raises(UsageError, match="temperature is not for it"):
        asked(student=shape, how=Distillation(temperature=3.0))
    (tmp_path / "opus").mkdir()
    (tmp_path / "opus" / "target.spm").write_bytes(b"x")
    with pytest.raises(UsageError, match="opus has a tokenizer for each side"):
        asked(student=tmp_path / "opus")
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="out exists"):
        asked(student=shape)
    assert not (tmp_path / "cache").exists()


def test_a_pair_without_one_of_its_sides_is_named_by_its_line(tmp_path):
    from edgewright.bundle.manifest import Settings
    from edgewright.data import rows
    from edgewright.tasks.translation import Translation

    path = written(tmp_path / "pairs.tsv", [("Lock it.", "Cierra."), ("Open it.", " ")])
    with pytest.raises(DataError, match="1 broken row: line 3: a pair without its target"):
        rows.examples(path, Translation(Settings(max_length=8)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([], "pairs.tsv has no rows"),
        ([("Lock it.", "Cierra."), ("Open it.", " ")], "1 broken row: line 3: a pair without its target"),
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


@pytest.mark.parametrize(
    ("student", "config", "kind", "words"),
    [
        ("marian-4mm", None, UsageError, "no student is called marian-4mm, did you mean marian-4m?"),
        pytest.param("", {"model_type": "llama"}, SourceError, "is no encoder-decoder", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_a_student_is_said_before_its_teacher_works(tmp_path, monkeypatch, student, config, kind, words):
    if config:
        source = SimpleNamespace(directory=tmp_path)
        monkeypatch.setattr(distilling, "open_source", lambda *_, **__: source)
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(kind, match=words):
        distilling._check_student(tmp_path if config else student, "translation")


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
