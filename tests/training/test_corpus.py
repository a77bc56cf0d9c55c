"""Tokenized rows on the disk, and the targets that each task reads out of labelled rows."""

import json

import numpy as np
import pytest

from edgewright import registry
from edgewright.bundle.manifest import Settings
from edgewright.errors import DataError, UsageError
from edgewright.system.files import into
from edgewright.text.tokenizer import Tokenizer
from edgewright.training import corpus
from edgewright.training.objectives import IGNORED, objective_of
from edgewright.training.recipe import Recipe


def task_of(name, **fields):
    return registry.load("tasks", name)(Settings(max_length=32, **fields))


SENTIMENT = task_of("text-classification", labels=("negative", "positive"))


def written(path, task, tokenizer_dir, out, **more):
    return corpus.write(path, task, Tokenizer(tokenizer_dir, 32), objective_of(task), out, **more)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("sentence\tlabel\na fine day\t1\nno\t0\nthe sea was calm and the night was long\t1\n")
    return path


def test_rows_come_back_as_the_tokenizer_gave_them(rows, tokenizer_dir, tmp_path):
    found = written(rows, SENTIMENT, tokenizer_dir, tmp_path / "corpus")
    tokenizer = Tokenizer(tokenizer_dir, 32)
    assert [row.target.item() for row in found] == [1, 0, 1]
    for row, text in zip(found, ("a fine day", "no", "the sea was calm and the night was long"), strict=True):
        assert row.ids.tolist() == tokenizer.encode([text]).feeds["input_ids"][0].tolist()
    assert found.lengths.tolist() == [len(row.ids) for row in found]
    assert found.tokens == found.lengths.sum()


def test_what_is_there_is_not_made_again(rows, tokenizer_dir, tmp_path):
    said = []
    first = written(rows, SENTIMENT, tokenizer_dir, tmp_path / "corpus", progress=said.append)
    assert len(said) == 1
    assert written(rows, SENTIMENT, tokenizer_dir, tmp_path / "corpus", progress=said.append).key == first.key
    assert len(said) == 1
    rows.write_text(rows.read_text() + "more\t0\n")
    assert len(written(rows, SENTIMENT, tokenizer_dir, tmp_path / "corpus")) == 4


def test_broken_rows_are_named_and_leave_no_corpus(tmp_path, tokenizer_dir):
    path = tmp_path / "rows.tsv"
    path.write_text("sentence\tlabel\nfine\t1\nso\t7\nlow\t0\nhm\tblue\n")
    with pytest.raises(DataError, match=r"2 broken rows: line 3: label '7' .*; line 5: label 'blue'"):
        written(path, SENTIMENT, tokenizer_dir, tmp_path / "corpus")
    assert not (tmp_path / "corpus" / "corpus.json").exists()


def test_a_class_without_a_row_is_named(tmp_path, tokenizer_dir):
    path = tmp_path / "rows.tsv"
    path.write_text("sentence\tlabel\nfine\t1\nso\t1\n")
    with pytest.raises(DataError, match="has no row of negative"):
        written(path, SENTIMENT, tokenizer_dir, tmp_path / "corpus")


def test_tags_stand_at_the_first_piece_of_each_word(tmp_path, tokenizer_dir):
    path = tmp_path / "rows.jsonl"
    tokens = ["Marianne", "saw", "New", "Harbour", "today"]
    path.write_text(json.dumps({"tokens": tokens, "tags": ["B-PER", "O", "B-LOC", "I-LOC", "O"]}) + "\n")
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    found = written(path, task_of("token-classification", labels=labels), tokenizer_dir, tmp_path / "corpus")[0]
    encoding = Tokenizer(tokenizer_dir, 32).encode([" ".join(tokens)])
    words = encoding.words[0]
    first = [at for at, word in enumerate(words) if word is not None and words.index(word) == at]
    assert [labels[found.target[at]] for at in first] == ["B-PER", "O", "B-LOC", "I-LOC", "O"]
    assert all(found.target[at] == IGNORED for at in range(len(words)) if at not in first)


def test_an_answer_is_found_in_the_window_that_holds_it(tmp_path, tokenizer_dir):
    context = "the sea was calm and " * 12 + "the captain slept " + "and the night was long " * 6
    start = context.index("captain")
    path = tmp_path / "rows.jsonl"
    row = {"question": "who slept?", "context": context, "answers": [{"text": "captain", "answer_start": start}]}
    path.write_text(json.dumps(row) + "\n")
    found = written(path, task_of("question-answering"), tokenizer_dir, tmp_path / "corpus")
    encoding = Tokenizer(tokenizer_dir, 32).windows([("who slept?", context)])
    assert len(found) == len(encoding.offsets) > 3
    held = [(at, row.target) for at, row in enumerate(found) if row.target.any()]
    assert held
    for at, (first, last) in held:
        assert context[encoding.offsets[at][first][0] : encoding.offsets[at][last][1]] == "captain"


def test_of_two_equal_words_the_one_that_the_data_means_is_the_answer(tmp_path, tokenizer_dir):
    context = "a bell rang and then a bell fell"
    path = tmp_path / "rows.jsonl"
    answers = [{"text": "bell", "answer_start": context.rindex("bell")}]
    path.write_text(json.dumps({"question": "what fell?", "context": context, "answers": answers}) + "\n")
    row = written(path, task_of("question-answering"), tokenizer_dir, tmp_path / "corpus")[0]
    encoding = Tokenizer(tokenizer_dir, 32).windows([("what fell?", context)])
    assert encoding.offsets[0][row.target[0]][0] == context.rindex("bell")


@pytest.mark.parametrize(
    "fields", [{"learning_rate": 0.0}, {"epochs": -1.0}, {"batch": 0}, {"warmup": 1.5}, {"clip": float("nan")}]
)
def test_a_recipe_of_impossible_values_is_refused(fields):
    with pytest.raises(UsageError, match=next(iter(fields))):
        Recipe(**fields)


def test_a_corpus_takes_no_memory_of_its_own(rows, tokenizer_dir, tmp_path):
    found = written(rows, SENTIMENT, tokenizer_dir, tmp_path / "corpus")
    assert isinstance(found._ids, np.memmap)
    assert found._ids.dtype == np.uint16


def test_kept_rows_that_another_process_reads_are_never_written_again(rows, tokenizer_dir, tmp_path):
    class Twice:
        name = "twice"

        def __call__(self, given):
            for row in given:
                yield from (row, row)

    tokenizer = Tokenizer(tokenizer_dir, 32)
    given = (rows, SENTIMENT, tokenizer, objective_of(SENTIMENT), tmp_path / "kept")
    first = corpus.kept(*given)
    assert len(corpus.kept(*given, more=Twice())) == 2 * len(first) == 6
    again = corpus.kept(*given)
    assert again.directory == first.directory
    assert first[2].ids.tolist() == again[2].ids.tolist()
    assert sorted(place.name[0] == "." for place in (tmp_path / "kept").iterdir()) == [False, False]


def test_of_two_that_fill_a_directory_one_wins(tmp_path):
    with into(tmp_path / "place") as late:
        (late / "who").write_text("late")
        with into(tmp_path / "place") as soon:
            (soon / "who").write_text("soon")
    assert (tmp_path / "place" / "who").read_text() == "soon"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
    with pytest.raises(UsageError), into(tmp_path / "other"):
        raise UsageError("it went wrong")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
