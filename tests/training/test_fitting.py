"""Training for real, on a tiny model: it learns, it goes on to the bit, and a student learns from its teacher."""

import json
import random
from dataclasses import replace

import pytest
from safetensors.numpy import load_file

from edgewright.errors import DataError, SourceError, StorageError, UsageError
from edgewright.training import Distillation, Recipe, Shape, distill, train

pytestmark = pytest.mark.slow

GOOD = ["bright", "calm", "kind", "warm", "fine", "glad"]
BAD = ["dark", "cold", "cruel", "grim", "lost", "sad"]
OTHER = ["the", "a", "sea", "night", "was", "and", "captain", "of"]
QUICK = Recipe(learning_rate=2e-3, epochs=5, batch=16, evaluations=2, threads=1)


def rows(path, count, seed):
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        label = rng.randrange(2)
        words = [rng.choice(GOOD if label else BAD) for _ in range(rng.randrange(1, 4))]
        words += rng.sample(OTHER, rng.randrange(1, 6))
        rng.shuffle(words)
        lines.append(f"{' '.join(words)}\t{label}")
    path.write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return rows(folder / "train.tsv", 320, 1), rows(folder / "dev.tsv", 64, 2)


@pytest.fixture(scope="module")
def base(_source):
    return _source


@pytest.fixture(scope="module")
def teacher(base, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("taught") / "teacher"
    trained = train(base, *data, out, recipe=QUICK)
    assert trained.score >= 90 > trained.first
    return out


def weights(folder):
    return {name: array.tobytes() for name, array in load_file(folder / "model.safetensors").items()}


class Killed(Exception):
    pass


def test_a_run_that_was_killed_ends_with_the_same_bits(base, data, teacher, tmp_path):
    def until(step):
        def say(phrase):
            if phrase.startswith(f"step {step} of"):
                raise Killed

        return say

    out = tmp_path / "model"
    for step in (11, 30):
        with pytest.raises(Killed):
            train(base, *data, out, recipe=QUICK, progress=until(step), resume=step > 11)
        assert not out.exists()
    with pytest.raises(StorageError, match="unfinished run"):
        train(base, *data, out, recipe=QUICK)
    train(base, *data, out, recipe=QUICK, resume=True)
    assert weights(out) == weights(teacher)
    assert not (tmp_path / "model-training").exists()
    curves = [json.loads((folder / "training/training.json").read_text())["scores"] for folder in (out, teacher)]
    assert curves[0] == curves[1]


def test_a_loss_that_is_no_number_stops_the_run_and_says_where(base, data, tmp_path):
    with pytest.raises(DataError, match=r"the loss is (nan|inf) at step \d+ of \d+, rows \d+") as caught:
        train(
            base,
            *data,
            tmp_path / "model",
            recipe=Recipe(learning_rate=1e30, epochs=4, batch=16, warmup=0.0, threads=1),
        )
    assert not (tmp_path / "model").exists()
    assert "lower the learning rate" in caught.value.hint


def test_a_student_learns_from_answers_that_are_computed_once(teacher, data, tmp_path):
    said = []
    how = Distillation(alpha=0.0, copies=1, shape=Shape(take=(1,)))
    one = distill(
        teacher, *data, tmp_path / "one", how=how, recipe=QUICK, cache=tmp_path / "cache", progress=said.append
    )
    assert one.score >= 85
    assert any(phrase.startswith("the teacher's answers, 0 of 640") for phrase in said)
    said.clear()
    again = distill(
        teacher, *data, tmp_path / "two", how=how, recipe=QUICK, cache=tmp_path / "cache", progress=said.append
    )
    assert "the teacher's answers to 640 rows are there" in said
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert again.parameters == one.parameters
    assert json.loads((tmp_path / "one/config.json").read_text())["num_hidden_layers"] == 1


def test_a_teacher_answers_with_no_more_threads_than_the_run_was_given(teacher, data, tmp_path):
    import torch

    seen, before = {}, torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        distill(
            teacher,
            *data,
            tmp_path / "model",
            recipe=replace(QUICK, threads=1),
            cache=tmp_path / "cache",
            progress=lambda phrase: seen.setdefault(phrase.partition(",")[0], torch.get_num_threads()),
        )
    finally:
        torch.set_num_threads(before)
    assert seen["the teacher's answers"] == 1


@pytest.mark.heavy
def test_a_student_of_another_size_learns_hidden_states_too(teacher, data, tmp_path):
    longer = replace(QUICK, epochs=20, learning_rate=1e-2)
    how = Distillation(alpha=0.5, hidden=0.1, shape=Shape(layers=1, width=16, heads=2, feed_forward=32))
    small = distill(teacher, *data, tmp_path / "small", how=how, recipe=longer, cache=tmp_path / "cache")
    assert small.score >= 80
    assert json.loads((tmp_path / "small/config.json").read_text())["hidden_size"] == 16


def test_what_cannot_be_a_student(teacher, data, tmp_path):
    with pytest.raises(UsageError, match="layer 5 is asked, the model has 2"):
        distill(
            teacher, *data, tmp_path / "a", how=Distillation(shape=Shape(take=(0, 5))), recipe=QUICK, cache=tmp_path
        )
    how = Distillation(shape=Shape(width=30, heads=4))
    with pytest.raises(UsageError, match="no multiple of"):
        distill(teacher, *data, tmp_path / "b", how=how, recipe=QUICK, cache=tmp_path)
    with pytest.raises(SourceError):
        distill(tmp_path / "nowhere", *data, tmp_path / "c")


def test_what_is_there_is_not_replaced(teacher, data, base):
    with pytest.raises(StorageError, match="exists"):
        train(base, *data, teacher, recipe=QUICK)


def test_new_labels_on_a_fine_tuned_model_name_the_option(teacher, tmp_path):
    train_rows, dev = tmp_path / "train.tsv", tmp_path / "dev.tsv"
    for path in (train_rows, dev):
        path.write_text("sentence\tlabel\nthe sea\tsports\nthe night\tbusiness\n")
    with pytest.raises(
        DataError, match=r"the model knows negative, positive; for a new head give --labels business,sports"
    ):
        train(teacher, train_rows, dev, tmp_path / "out", recipe=QUICK)
    for path in (train_rows, dev):
        path.write_text("sentence\tlabel\nthe sea\t0\nthe night\t3\n")
    with pytest.raises(DataError, match=r"give --labels LABEL_0,LABEL_1,LABEL_2,LABEL_3"):
        train(teacher, train_rows, dev, tmp_path / "out", recipe=QUICK)
    for path in (train_rows, dev):
        path.write_text("sentence\tlabel\nthe sea\n")
    with pytest.raises(DataError, match=r"broken row") as caught:
        train(teacher, train_rows, dev, tmp_path / "out", recipe=QUICK)
    assert "--labels" not in str(caught.value)


def test_a_largest_length_is_kept_in_the_result(base, data, tmp_path):
    import transformers

    from edgewright.model.source import open_source

    train(base, *data, tmp_path / "short", recipe=replace(QUICK, epochs=1, max_length=24))
    assert open_source(tmp_path / "short").settings.max_length == 24
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "short").model_max_length == 24
    train(base, *data, tmp_path / "long", recipe=replace(QUICK, epochs=1, max_length=4000))
    assert open_source(tmp_path / "long").settings.max_length == open_source(base).settings.max_length
