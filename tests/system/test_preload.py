"""Children that are forks of one process: what they share, and what they do without it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from child_targets import Birth, Order, child

from edgewright.errors import ChildFailed
from edgewright.system import preload
from edgewright.system.child import Limits, call
from edgewright.system.preload import close

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")

ENV = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def birth(**options):
    """The process that forked a child, the one above it, and whether the child had its library from it."""
    options = {"preload": ("decimal", "child_targets"), "env": ENV, **options}
    found = call(child("birth", Birth), Order(), **options)
    return found.parent, found.above, found.imported


def test_two_children_are_forks_of_one_process():
    (first, keeper, imported), (second, _, _) = birth(), birth()
    assert imported
    assert first == second
    assert os.getpid() not in (first, keeper)
    assert birth(preload=())[1:] == (os.getpid(), False)


def test_children_that_need_other_modules_are_forks_of_it_too():
    close()
    first, _, imported = birth(preload=("decimal",))
    assert not imported
    assert [birth(preload=needed)[::2] for needed in (("child_targets",), ("decimal",))] == [(first, True)] * 2


def test_what_was_warmed_is_what_the_next_child_is_forked_from(monkeypatch):
    close()
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setenv("PYTHONPATH", ENV["PYTHONPATH"])
    preload.warm(("decimal", "child_targets"))
    (warmed,) = preload._kept
    assert birth(env={})[1] == warmed._process.pid


def test_another_process_imports_where_libraries_would_read_other_variables():
    first, *_ = birth()
    assert birth(env={**ENV, "UNREAD": "1"})[0] == first
    assert birth(env={**ENV, "HF_HUB_OFFLINE": "2"})[0] != first


@pytest.mark.parametrize(("given", "found"), [({}, b"passive"), ({"OMP_WAIT_POLICY": "active"}, b"active")])
def test_threads_wait_asleep_unless_somebody_wants_them_awake(monkeypatch, given, found):
    close()
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    parent, *_ = birth(env={**ENV, **given})
    assert b"OMP_WAIT_POLICY=" + found in Path("/proc", str(parent), "environ").read_bytes().split(b"\0")


def test_every_child_goes_through_a_set_in_the_same_order(monkeypatch):
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    found = set()
    for preload_ in (("child_targets",), ()) * 2:  # forks, and interpreters of their own
        close()
        found.add(call(child("hashed", int), Order(words="a name"), preload=preload_, env=ENV))
    assert len(found) == 1


def test_a_child_works_where_its_parent_is_now(tmp_path, monkeypatch):
    birth()
    monkeypatch.chdir(tmp_path)
    found = call(child("birth", Birth), Order(), preload=("decimal", "child_targets"), env=ENV)
    assert found.directory == str(tmp_path)


@pytest.mark.parametrize("preload", [("decimal", "child_targets"), ()])
def test_a_child_imports_from_no_directory_that_it_works_in(tmp_path, monkeypatch, preload):
    close()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path)
    birth(preload=preload)  # the first directory is that in which a process of the others is born
    monkeypatch.chdir(tmp_path / "second")
    found = call(child("path", list[str]), Order(), preload=preload, env=ENV)
    assert all(os.path.isabs(path) for path in found)  # noqa: PTH117 - an empty one is the directory too
    assert not [path for path in found if path.startswith(str(tmp_path))]


def test_a_process_that_is_gone_is_started_again():
    first, *_ = birth()
    os.kill(first, signal.SIGKILL)
    second, _, imported = birth()
    assert imported
    assert second != first


def test_what_cannot_be_imported_is_the_childs_own_affair():
    _, above, _ = birth(preload=("no_such_module",))
    assert above == os.getpid()


@pytest.mark.slow
def test_a_second_child_at_the_same_time_is_a_fresh_interpreter():
    started, seen = threading.Event(), []

    def slow():
        say = lambda _: started.set()  # noqa: E731
        preload = ("decimal", "child_targets")
        seen.append(call(child("nap", str), Order(), preload=preload, env=ENV, progress=say))

    thread = threading.Thread(target=slow)
    thread.start()
    assert started.wait(60)
    assert birth()[1:] == (os.getpid(), False)
    thread.join()
    assert seen == ["rested"]


PARENT = """
import sys
from edgewright.system import preload
preload.warm(("decimal",))
print(preload._kept[0]._process.pid, flush=True)
sys.stdin.read()
"""


PROMPTLY_S = 30
"""For what takes an instant on a machine at leisure, and on a busy one far less than the minute that it would last."""


def test_it_goes_with_its_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    end = time.monotonic() + PROMPTLY_S
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_ends_at_once_when_it_is_not_wanted():
    preload.warm(("decimal",))
    begin = time.monotonic()
    preload.close()
    preload.close()
    assert time.monotonic() - begin < PROMPTLY_S


IMPORTING = """
import sys, time
from edgewright.system import preload
preload.warm(("endless",))
print(preload._kept[0]._process.pid, flush=True)
time.sleep(60)
"""


def test_it_goes_with_its_parent_while_it_imports(tmp_path):
    told = tmp_path / "told"
    (tmp_path / "endless.py").write_text(
        f"import os, time\nopen({str(told)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(tmp_path)])}
    with subprocess.Popen([sys.executable, "-c", IMPORTING], env=env, stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        while not (told.exists() and told.read_text()):
            time.sleep(0.05)
        parent.send_signal(signal.SIGINT)
    importing = Path(f"/proc/{told.read_text()}")
    end = time.monotonic() + PROMPTLY_S
    while importing.exists() and "\nState:\tZ" not in (importing / "status").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_time_limit_counts_the_imports(tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", f"{ENV['PYTHONPATH']}:{tmp_path}")
    begin = time.monotonic()
    with pytest.raises(ChildFailed, match="took longer than its limit of 1 s"):
        call(child("birth", Birth), Order(), preload=("endless",), limits=Limits(timeout_s=1))
    assert time.monotonic() - begin < PROMPTLY_S
    assert birth()[2], "the next one finds a process that works"
