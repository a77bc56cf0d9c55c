"""A teacher's answers: once, by one process, and no row twice however often it is killed."""

import random
import shutil
import threading

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.errors import StorageError
from edgewright.tasks.text_classification import TextClassification
from edgewright.text.tokenizer import Tokenizer
from edgewright.training import answers, corpus
from edgewright.training.objectives import objective_of

pytestmark = pytest.mark.slow

WORDS = ["the", "captain", "saw", "a", "calm", "sea", "and", "the", "long", "night", "was", "cold"]
COUNT = 700


@pytest.fixture(scope="module")
def rows(tmp_path_factory, _tokenizer):
    folder = tmp_path_factory.mktemp("rows")
    rng = random.Random(3)
    lines = [f"{' '.join(rng.choices(WORDS, k=rng.randrange(1, 12)))}\t{at % 2}" for at in range(COUNT)]
    (folder / "rows.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    task = TextClassification(Settings(max_length=32, labels=("negative", "positive")))
    return corpus.write(folder / "rows.tsv", task, Tokenizer(_tokenizer, 32), objective_of(task), folder / "corpus")


@pytest.fixture
def often(monkeypatch):
    """What was done is safe every second batch: the corpus is a small one."""
    monkeypatch.setattr(answers, "_BATCHES", 2)


class Teacher:
    """Answers with two numbers for a row, or for each token, and counts the rows; it dies at a batch."""

    def __init__(self, *, per_token, dies_at=None):
        self.table = np.linspace(-1, 1, 800, dtype=np.float32).reshape(400, 2)
        self.per_token, self.dies_at, self.batches = per_token, dies_at, []

    def eval(self):
        return self

    def to(self, _device):
        return self

    def __call__(self, input_ids, attention_mask, token_type_ids):
        import torch

        del token_type_ids
        if len(self.batches) == self.dies_at:
            raise KeyboardInterrupt
        self.batches.append(len(input_ids))
        found = torch.from_numpy(self.table)[input_ids] * attention_mask[:, :, None]
        return (found if self.per_token else found.sum(1),)


def ask(teacher, rows, cache, said=None):
    return answers.computed(
        lambda: teacher, "teacher", rows, per_token=teacher.per_token, cache=cache,
        progress=[].append if said is None else said.append,
    )  # fmt: skip


def same(found, teacher, rows):
    for at in range(0, len(rows), 37):
        right = teacher.table[rows[at].ids]
        right = right if teacher.per_token else right.sum(0)
        assert np.allclose(found[at][0], right, atol=1e-5)
    return True


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("per_token", [False, True])
def test_what_was_answered_before_a_kill_is_not_asked_again(rows, tmp_path, per_token):
    whole = Teacher(per_token=per_token)
    right = ask(whole, rows, tmp_path / "other")
    for dies_at in (0, 1, 5):
        with pytest.raises(KeyboardInterrupt):
            ask(Teacher(per_token=per_token, dies_at=dies_at), rows, tmp_path / "cache")
    last, said = Teacher(per_token=per_token), []
    found = ask(last, rows, tmp_path / "cache", said)
    assert said[0] == f"the teacher's answers, 256 of {COUNT} rows"
    assert sum(last.batches) == COUNT - 256
    assert same(found, last, rows)
    assert all(np.array_equal(found[at][0], right[at][0]) for at in range(COUNT))
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [""]


def test_they_are_there_the_next_time(rows, tmp_path):
    ask(Teacher(per_token=False), rows, tmp_path)
    said, never = [], Teacher(per_token=False, dies_at=0)
    assert same(ask(never, rows, tmp_path, said), never, rows)
    assert said == [f"the teacher's answers to {COUNT} rows are there"]


@pytest.mark.parametrize("name", ["", "0.bin"])
def test_a_link_in_the_cache_is_not_written_through(rows, tmp_path, name):
    """Where they are put together has a name that can be foretold: a killed run is gone on with there."""
    ask(Teacher(per_token=False), rows, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    part, mine = place.with_name(f"{place.name}.part"), tmp_path / "mine"
    shutil.rmtree(place)
    mine.mkdir()
    (mine / "0.bin").write_text("mine")
    if name:
        part.mkdir()
        (part / name).symlink_to(mine / name)
    else:
        part.symlink_to(mine)
    with pytest.raises(StorageError, match=r"is a link|Too many levels of symbolic links"):
        ask(Teacher(per_token=False), rows, tmp_path / "cache")
    assert [(path.name, path.read_text()) for path in mine.iterdir()] == [("0.bin", "mine")]


def test_of_two_processes_one_answers_and_the_other_waits(rows, tmp_path):
    second, begun, go = Teacher(per_token=False), threading.Event(), threading.Event()

    class Slow(Teacher):
        def __call__(self, **feeds):
            begun.set()
            assert go.wait(30)
            return super().__call__(**feeds)

    class Saying(list):
        def append(self, phrase):
            super().append(phrase)
            go.set()

    first = threading.Thread(target=ask, args=(Slow(per_token=False), rows, tmp_path))
    first.start()
    assert begun.wait(30)
    said = Saying()
    assert same(ask(second, rows, tmp_path, said), second, rows)
    first.join(30)
    assert said == [
        "wait for another one that computes the teacher's answers",
        f"the teacher's answers to {COUNT} rows are there",
    ]
    assert second.batches == []


def test_a_full_disk_is_said(rows, small_disk):
    (small_disk / "big").write_bytes(bytes(255 * 1024 - 4096))
    with pytest.raises(StorageError, match=r"cannot write .*: No space left on device; free some space"):
        ask(Teacher(per_token=True), rows, small_disk / "cache")
