"""A run that was killed, and what may go on with it."""

import shutil

import pytest

from edgewright.errors import DataError, StorageError, UsageError
from edgewright.training.unfinished import Unfinished


def test_an_unfinished_run_is_only_gone_on_with_when_asked_and_only_when_it_is_the_same(tmp_path):
    run = Unfinished(tmp_path / "model")
    assert run.begin({"seed": 1}, resume=False) is None
    with pytest.raises(StorageError, match="holds an unfinished run"):
        run.begin({"seed": 1}, resume=False)
    with pytest.raises(StorageError, match="seed was 1, now 2"):
        run.begin({"seed": 2}, resume=True)
    for step, state in ((3, "{}"), (12, "{"), (7, "{}")):
        folder = run.directory / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
    assert run.begin({"seed": 1}, resume=True) == str(run.directory / "checkpoint-7")
    assert not (run.directory / "checkpoint-12").exists()


def test_a_directory_that_is_no_runs_is_left_alone(tmp_path):
    """All that lies in the directory of a run goes when the run ends."""
    run = Unfinished(tmp_path / "model")
    run.directory.mkdir()
    (run.directory / "thesis").write_text("mine")
    with pytest.raises(StorageError, match="model-training holds something else; move it"):
        run.begin({"seed": 1}, resume=False)
    assert (run.directory / "thesis").read_text() == "mine"


def test_what_differs_is_counted_where_not_all_is_shown(tmp_path):
    run, names = Unfinished(tmp_path / "model"), "abcde"
    run.begin(dict.fromkeys(names, 1), resume=False)
    with pytest.raises(StorageError, match="c was 1, now 2; and 2 more"):
        run.begin(dict.fromkeys(names, 2), resume=True)


def test_a_run_that_cannot_begin_leaves_nothing_but_what_was_learnt(tmp_path):
    run = Unfinished(tmp_path / "out")
    for kind in (DataError, UsageError):
        for made, left in (("tokens", False), ("checkpoint-1", True)):
            run.begin({"text": made}, resume=False)
            (run.directory / made).mkdir()
            with pytest.raises(kind), run.prepared():
                raise kind("there is no text, or too little of it")
            assert run.directory.exists() == left
        shutil.rmtree(run.directory)
