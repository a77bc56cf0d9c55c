"""Studies in a storage: many processes at one, killed ones that go on, and storages that are something else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from search_worker import Grid, found, study

from edgewright.errors import StorageError
from edgewright.searching._study import Study

pytestmark = pytest.mark.slow


def worker(storage, log, trials=12, seconds=0.1):
    argv = [sys.executable, Path(__file__).with_name("search_worker.py"), storage, str(trials), log, str(seconds)]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)


def ended(process):
    _, words = process.communicate(timeout=240)
    assert process.returncode == 0, words


def begun(log):
    return [line.partition(" ")[::2] for line in log.read_text().splitlines()] if log.exists() else []


def test_two_processes_share_a_study_and_no_trial_is_done_twice(tmp_path):
    storage, log = tmp_path / "study.db", tmp_path / "log"
    for process in [worker(storage, log) for _ in range(2)]:
        ended(process)
    processes, points = zip(*begun(log), strict=True)
    assert len(points) == len(set(points)) == 12
    assert len(set(processes)) == 2
    assert [trial.state for trial in study(storage).trials()] == ["complete"] * 12


def test_a_process_killed_in_the_middle_of_a_trial_leaves_a_study_that_goes_on(tmp_path):
    storage, log = tmp_path / "study.db", tmp_path / "log"
    process = worker(storage, log, seconds=600)
    give_up = time.monotonic() + 120
    while not begun(log) and time.monotonic() < give_up:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ((_, interrupted),) = begun(log)
    seen = []
    again = study(storage)
    again.run(5, lambda point, _: seen.append(str(point)) or found(point))
    assert seen[0] == interrupted
    assert len(seen) == len(set(seen)) == 5
    assert [trial.state for trial in again.trials()] == ["complete"] * 5


def test_a_trial_of_a_machine_that_went_silent_is_taken_over(tmp_path, monkeypatch):
    storage, log = tmp_path / "study.db", tmp_path / "log"
    process = worker(storage, log, seconds=600)
    give_up = time.monotonic() + 120
    while not begun(log) and time.monotonic() < give_up:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    monkeypatch.setattr("edgewright.searching._study.is_dead", lambda _: False)  # as seen from another machine
    seen = []
    study(storage).run(2, lambda point, _: seen.append(str(point)) or found(point))
    assert begun(log)[0][1] in seen
    assert len(set(seen)) == 2


def test_a_point_that_kills_every_process_is_given_up(tmp_path):
    storage = tmp_path / "study.db"
    bad = []
    for _ in range(3):
        code = "import os, sys; sys.path.insert(0, sys.argv[2]); from search_worker import study\n"
        code += (
            "def kill(point, watch): print(point, flush=True); os.kill(os.getpid(), 9)\nstudy(sys.argv[1]).run(3, kill)"
        )
        argv = [sys.executable, "-c", code, str(storage), str(Path(__file__).parent)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL
        bad.append(done.stdout)
    assert len(set(bad)) == 1
    last = study(storage)
    last.run(3, lambda point, _: found(point))
    lost, *others = sorted(last.trials(), key=lambda trial: trial.state != "failed")
    assert lost.reason == "the process died in each of 3 attempts"
    assert str(lost.point) == bad[0].strip()
    assert [trial.state for trial in others] == ["complete"] * 2


def test_a_full_disk_ends_the_search_and_its_trial_is_the_next_one(tmp_path):
    def full(point, _):
        seen.append(point)
        raise StorageError("cannot write: no space left", hint="free some space")

    seen = []
    with pytest.raises(StorageError, match="no space left"):
        study(tmp_path / "study.db").run(3, full)
    study(tmp_path / "study.db").run(2, lambda point, _: seen.append(point) or found(point))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 2


@pytest.mark.parametrize("sampler", ["model"])
def test_a_study_that_is_gone_on_with_takes_the_trials_of_one_that_was_not(tmp_path, sampler):
    whole = study("", sampler=sampler)
    whole.run(8, lambda point, _: found(point))
    for trials in (4, 8):
        part = study(tmp_path / "study.db", sampler=sampler)
        part.run(trials, lambda point, _: found(point))
    assert [trial.point for trial in part.trials()] == [trial.point for trial in whole.trials()]
    other = study("", sampler=sampler, seed=4)
    other.run(8, lambda point, _: found(point))
    assert [trial.point for trial in other.trials()] != [trial.point for trial in whole.trials()]


def test_a_study_of_something_else_is_refused(tmp_path):
    study(tmp_path / "study.db")
    with pytest.raises(StorageError, match=r"something else: space was grid, is another; model was not given, is b"):
        Study(str(tmp_path / "study.db"), Grid(), {"space": "another", "model": "b"}, sampler="tpe", seed=0)


@pytest.mark.parametrize("what", ["text", "directory", "no directory", "no driver", "no dialect"])
def test_a_storage_that_is_none_is_refused_in_one_line(tmp_path, what):
    (tmp_path / "text").write_text("not a data base, though it is long enough to be taken for one" * 20)
    (tmp_path / "directory").mkdir()
    urls = {"no directory": tmp_path / "none/study.db", "no driver": "oracle://host/x", "no dialect": "ftp://host/x"}
    with pytest.raises(StorageError, match=r"cannot use .* as a study's storage") as caught:
        study(urls.get(what, tmp_path / what))
    assert "\n" not in str(caught.value)
    assert "sqlalche.me" not in str(caught.value)
