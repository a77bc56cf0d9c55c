import errno
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest
from child_targets import Order, Tree, child

from edgewright import errors
from edgewright.bundle.manifest import TensorSpec
from edgewright.errors import ChildFailed, DataError, StorageError
from edgewright.system.child import Child, Limits, call
from edgewright.system.jobs import Jobs
from edgewright.system.preload import close

ENV = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


@pytest.fixture(params=["fresh", "forked"], autouse=True)
def preload(request, monkeypatch):
    """Both ways to start a child keep one contract."""
    modules = ("decimal", "child_targets") if request.param == "forked" else ()
    monkeypatch.setitem(OPTIONS, "preload", modules)
    return modules


OPTIONS = {"env": ENV}
OTHERS = (signal.SIGTERM, signal.SIGHUP)


def run(target, request=Order(), answer=type(None), **options):  # noqa: B008 - frozen
    return call(child(target, answer, type(request)), request, **OPTIONS, **options)


def fails(target, request=Order(), answer=type(None), **options):  # noqa: B008 - frozen
    with pytest.raises(ChildFailed) as caught:
        run(target, request, answer, **options)
    assert caught.value.message.startswith(f"{target} ")
    return str(caught.value)


def gone(pid, within_s=30.0):
    """Whether a process ends, or has ended, soon. A zombie has ended."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    "tree", [{"a": [1, 2.5, None, True, "é\n\x00\u2028😀 \ud800"]}, {}, [math.inf], {"deep": [[[[]]]]}]
)
def test_the_answer_comes_back(tree):
    assert run("echo", Tree(tree), Tree) == Tree(tree)


def test_five_megabytes_go_in_and_come_back():
    asked = Tree("0123456789" * 500_000)
    assert run("echo", asked, Tree) == asked


@pytest.mark.parametrize("name", [b"/a/b", b"\xff/no UTF-8", b"."])
def test_a_path_is_one_on_the_other_side(name):
    assert run("walk", Order(path=Path(os.fsdecode(name))), list) == [True, name.hex()]


def test_an_answer_of_another_kind_is_our_bug():
    with pytest.raises(msgspec.ValidationError, match="Expected `str`, got `int`"):
        run("count", Order(n=1), str)


def test_progress_comes_in_order():
    phrases = []
    assert run("count", Order(n=200), int, progress=phrases.append) == 200
    assert phrases == [f"step {number}" for number in range(200)]


@pytest.mark.parametrize("kind", ["SourceError", "GateFailed", "EngineError", "MissingExtra", "EdgewrightError"])
def test_our_errors_cross(kind):
    with pytest.raises(errors.EdgewrightError) as caught:
        run("raise_ours", Order(words=kind))
    assert type(caught.value).__name__ == kind
    assert str(caught.value) == "it is bad; mend it"


def test_another_exception_is_quoted():
    phrases = []
    words = fails("raise_other", Order(words="shapes do not match"), progress=phrases.append)
    assert "ended with exit code 1 and no answer" in words
    assert "its last words: ValueError: shapes do not match" in words
    assert phrases == ["about to fail"]


def test_an_abort_is_named_with_its_last_words():
    words = fails("abort")
    assert "died of SIGABRT" in words
    assert "corrupted size vs. prev_size" in words


def test_a_crash_is_named():
    assert "died of SIGSEGV; it printed nothing" in fails("segfault")


def test_a_kill_from_outside_points_at_memory():
    assert "was killed, most likely because the machine ran out of memory" in fails("kill_self")


@pytest.mark.parametrize("way", ["exit_hard", "exit_softly"])
@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_without_an_answer_is_a_failure(way, code):
    assert f"ended with exit code {code} and no answer" in fails(way, Order(n=code))


def test_an_answer_that_is_not_json_is_a_failure():
    assert "Encoding objects of type object is unsupported" in fails("not_json")


def test_the_memory_limit_ends_the_child():
    words = fails("eat", Order(n=20), limits=Limits(memory_mib=80, timeout_s=30))
    assert "MiB of memory, its limit is 80 MiB" in words


def test_the_time_limit_ends_the_child():
    pids = []
    begin = time.monotonic()
    words = fails("sleep", Order(seconds=60), limits=Limits(timeout_s=0.8), progress=pids.append)
    assert "took longer than its limit of 0.8 s" in words
    assert time.monotonic() - begin < 30
    assert [gone(int(pid)) for pid in pids] == [True]


@pytest.mark.slow
def test_a_child_that_is_too_slow_takes_what_it_started_along(tmp_path):
    pid_file = tmp_path / "pid"
    fails("grandchild", Order(path=pid_file, words="sleep"), limits=Limits(timeout_s=4))
    assert gone(int(pid_file.read_text()))


@pytest.mark.parametrize("then", ["return", "abort"])
def test_a_child_that_ends_takes_what_it_started_along(tmp_path, then):
    pid_file = tmp_path / "pid"
    try:
        run("grandchild", Order(path=pid_file, words=then))
    except ChildFailed:
        assert then == "abort"
    pid = int(pid_file.read_text())
    lives = not gone(pid)
    if lives:
        os.kill(pid, signal.SIGKILL)
    assert not lives


def test_what_the_child_prints_goes_to_the_log_and_nowhere_else(tmp_path, capfd):
    log = tmp_path / "log"
    log.write_text("before\n")
    assert run("chatter", Order(n=5), int, log=log) == 5
    assert log.read_text() == "before\nto standard output\nto standard error\n"
    assert capfd.readouterr() == ("", "")


def test_a_log_that_is_kept_is_named(tmp_path):
    words = fails("abort", log=tmp_path / "log")
    assert words.endswith(f"its last words: corrupted size vs. prev_size; log: {tmp_path / 'log'}")


def test_variables_reach_the_child_and_nobody_else():
    assert run("echo", Tree(1), Tree) == Tree(1)
    with pytest.raises(ChildFailed, match="No module named 'child_targets'"):
        call(child("echo", Tree, Tree), Tree(1))


@pytest.mark.parametrize("target", ["edgewright.system.child:no_such_function", "no_such_module:work"])
def test_a_target_that_is_not_there_is_a_failure(target):
    with pytest.raises(ChildFailed, match="no_such_"):
        call(Child(target, TensorSpec, type(None)), TensorSpec("ids", "int64", (1,)))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_message_cut_short_is_a_failure_and_no_traceback():
    assert "ended with exit code 1 and no answer" in fails("half_a_word")


def test_an_answer_counts_though_the_child_dies_in_its_last_breath():
    assert run("answer_then_die", answer=int) == 7


PARENT = """
import sys
from child_targets import Order, child
from edgewright.system.child import call
call(child(sys.argv[1]), Order(seconds=60), progress=lambda pid: print(pid, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)])
@pytest.mark.parametrize("target", ["sleep", "nest"])
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal on a parent's death is Linux's own")
def test_a_child_dies_with_its_parent(target, number):
    argv = [sys.executable, "-c", PARENT, target]
    # Under nohup a hang-up is ignored, and the child would end by itself a minute later
    heard = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "text": True, "preexec_fn": heard}
    with subprocess.Popen(argv, env={**os.environ, **ENV}, **pipes) as parent:
        pid = int(parent.stdout.readline())
        assert not gone(pid, within_s=0.1)
        parent.send_signal(number)
        parent.wait(timeout=30)
    assert gone(pid)


@pytest.mark.parametrize("then", ["return", "abort", pytest.param("sleep", marks=pytest.mark.slow)])
@pytest.mark.skipif(sys.platform != "linux", reason="orphans come to a process below on Linux alone")
def test_what_left_the_session_is_found_all_the_same(tmp_path, then):
    pid_file = tmp_path / "pid"
    try:
        run("runaway", Order(path=pid_file, words=then), limits=Limits(timeout_s=4))
    except ChildFailed:
        assert then != "return"
    pid = int(pid_file.read_text())
    lives = not gone(pid)
    if lives:
        os.kill(pid, signal.SIGKILL)
    assert not lives


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
def test_what_another_process_of_the_child_takes_counts():
    words = fails("eat_elsewhere", limits=Limits(memory_mib=150, timeout_s=30))
    assert "MiB of memory, its limit is 150 MiB" in words


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("words", ["garbage", "[1]", "7", "null", "[" * 100_000, '{"progress": {}}}', "\xff"])
def test_what_is_no_message_is_a_failure_and_no_traceback(words):
    assert "babble answered " in fails("babble", Order(words=words))


@pytest.mark.parametrize("preload", ["fresh"], indirect=True)
def test_a_job_keeps_the_log_that_an_error_names_and_no_other(tmp_path, monkeypatch):
    scratch, kept = tmp_path / "scratch", tmp_path / "kept"
    scratch.mkdir()
    kept.mkdir()
    monkeypatch.setenv("PYTHONPATH", ENV["PYTHONPATH"])
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    jobs = Jobs(scratch)
    with pytest.raises(DataError, match="it is bad"):
        jobs.run(child("raise_ours"), Order(words="DataError"))
    assert [*kept.iterdir(), *scratch.iterdir()] == []
    with pytest.raises(ChildFailed) as died:
        jobs.run(child("abort"), Order())
    (log,) = kept.iterdir()
    assert died.value.hint.endswith(f"; log: {log}")
    assert [*scratch.iterdir()] == []


def test_what_a_child_leaves_among_temporary_files_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    close()  # another process forks, and has looked here where its temporary files go
    fails("litter")
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_is_told_though_no_log_can_be_written():
    with pytest.raises(StorageError, match="No space left on device; free some space, or set TMPDIR"):
        run("fill", Order(n=errno.ENOSPC))
