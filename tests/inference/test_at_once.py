"""Several runs at once: in order, as each alone, and what is raised in its turn."""

import os
import threading
import time

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.contracts.engine import Session
from edgewright.errors import DataError, UsageError
from edgewright.inference.at_once import Shared, check_workers, every, in_order
from edgewright.inference.pipeline import Pipeline
from edgewright.system.limits import allowed
from edgewright.tasks.text_classification import TextClassification
from edgewright.tasks.text_ranking import TextRanking
from edgewright.text.tokenizer import Tokenizer

NIGHT = "the river had risen in the night and the field was under water"


class Meeting(Session):
    """An engine whose runs wait until there are two at once."""

    inputs = outputs = ()

    def __init__(self, several=2):
        self.met, self.shapes = threading.Barrier(several, timeout=20), []

    def run(self, feeds):
        self.shapes.append(feeds["input_ids"].shape)
        self.met.wait()
        real = feeds["attention_mask"].sum(axis=1)
        return {"logits": np.stack([5 - real, real - 5], axis=1).astype(np.float32)}


def pipeline_of(tokenizer_dir, session, task=TextClassification, labels=("short", "long"), workers=2):
    shared = Shared([session] * workers)
    return Pipeline(
        None, task(Settings(max_length=16, labels=labels)), Tokenizer(tokenizer_dir, 16), shared, workers=workers
    )


def test_two_items_are_run_at_once_and_answered_in_order(tokenizer_dir):
    with pipeline_of(tokenizer_dir, Meeting()) as pipeline:
        items = ["good", NIGHT, {"text": "bad", "text_pair": NIGHT}, "good"]
        assert [one["label"] for one in pipeline(items)] == ["short", "long", "long", "short"]
        assert [row["text"] for row in pipeline.rows(iter(items))] == items
        assert len(pipeline.session._every[0].shapes) == 8
        assert "2 workers" in repr(pipeline)


def test_the_runs_of_one_item_are_made_at_once(tokenizer_dir):
    ranking = pipeline_of(tokenizer_dir, Meeting(), TextRanking, ("no", "yes"))
    texts = ["good", *[NIGHT] * 31]  # of two lengths, too many for one run
    assert len(ranking({"query": "river", "texts": texts})) == 32
    shapes = ranking.session._every[0].shapes
    assert len(shapes) % 2 == 0
    assert len(shapes) > 1, "runs of two at once, or the barrier would not have let them through"


def test_a_stream_is_answered_before_the_next_line_comes(tokenizer_dir):
    pipeline = pipeline_of(tokenizer_dir, Meeting(1))
    inlet, outlet = os.pipe()
    with os.fdopen(inlet) as lines, os.fdopen(outlet, "w") as writer:
        answers = pipeline.stream(line.strip() for line in lines)
        for text in ("good", NIGHT):
            print(text, file=writer, flush=True)
            assert next(answers)["label"] == ("long" if text == NIGHT else "short")
        writer.close()
        assert list(answers) == []


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_everything_comes_in_order_whoever_is_late(workers):
    def late(number):
        time.sleep(0.002 * (number % 3 == 0))
        return -number

    assert list(in_order(late, range(60), workers)) == [-number for number in range(60)]
    assert list(in_order(late, (), workers)) == []


def test_no_more_is_taken_than_a_few_ahead():
    taken = []

    def source():
        for number in range(1000):
            taken.append(number)
            yield number

    found = in_order(abs, source(), 2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    found.close()
    assert len(taken) < 30


@pytest.mark.parametrize("error", [ValueError("seven"), KeyboardInterrupt(), DataError("seven")])
def test_what_is_raised_comes_in_its_turn(error):
    def fails(number):
        if number == 7:
            raise error
        return number

    found = in_order(fails, range(100), 3)
    assert [next(found) for _ in range(7)] == list(range(7))
    with pytest.raises(type(error)):
        next(found)
    assert list(found) == []


def test_an_item_that_is_none_is_said_after_the_answers_before_it(tokenizer_dir):
    pipeline = pipeline_of(tokenizer_dir, Meeting(1))
    answers = pipeline.stream(iter(["good", NIGHT, 7, "good"]))
    assert [next(answers)["label"], next(answers)["label"]] == ["short", "long"]
    with pytest.raises(DataError, match="row 2"):
        next(answers)


def test_one_session_is_never_run_by_two_threads():
    class Single(Session):
        inputs = outputs = ()
        inside = 0

        def run(self, feeds):
            self.inside += 1
            assert self.inside == 1
            time.sleep(0.001)
            self.inside -= 1
            return feeds

    one, other = Single(), Single()
    shared = Shared([one, other])
    found = list(in_order(shared.run, [{"number": n} for n in range(40)], 4))
    assert [feeds["number"] for feeds in found] == list(range(40))


def test_no_more_workers_than_cores():
    cores = allowed().threads
    check_workers(cores, 1)
    check_workers(1, cores)
    for workers, threads in ((0, 1), (cores + 1, 1), (cores, 2 * cores)):
        with pytest.raises(UsageError, match=f"{workers} workers.* were asked, this process may use {cores} core"):
            check_workers(workers, threads)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_item_is_made_once_and_stands_in_its_place(workers):
    seen = []

    def late(number):
        seen.append(number)
        time.sleep(0.001 * (number % 3 == 0))
        return -number

    assert every(late, range(60), workers) == [-number for number in range(60)]
    assert sorted(seen) == list(range(60))
    assert every(late, (), workers) == []


def test_of_several_that_fail_the_first_is_raised_and_no_more_begins():
    begun = []

    def fails(number):
        begun.append(number)
        if number in (7, 8):
            time.sleep(0.01 * (number == 7))
            raise DataError(str(number))
        return number

    with pytest.raises(DataError, match="7"):
        every(fails, range(100), 2)
    assert len(begun) < 12
