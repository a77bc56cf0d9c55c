"""Programs of others: what they say, and that neither they nor what they started stay."""

import sys
import time
from pathlib import Path

import pytest

from edgewright.system.programs import run_to_end


def shell(words, **options):
    return run_to_end(["sh", "-c", words], **{"timeout_s": 60, **options})


def test_its_code_and_words_and_where_it_works(tmp_path):
    done = shell("pwd; echo; echo wrong >&2; exit 3", cwd=tmp_path)
    assert (done.code, done.lines) == (3, (str(tmp_path), "wrong"))


def test_one_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        run_to_end(["no-such-program"], timeout_s=1)


def test_it_reads_nothing():
    assert shell("cat").lines == ()


@pytest.mark.parametrize(
    "words", ["sleep 60 & echo $! > {pid}; wait", "echo $$ > {pid}; exec yes"], ids=["waits", "talks"]
)
def test_what_takes_too_long_is_ended_with_what_it_started(words, tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(TimeoutError, match=r"sh took longer than 0\.5 s and was ended"):
        shell(words.format(pid=pid), timeout_s=0.5)
    gone(int(pid.read_text()))


def test_what_it_leaves_behind_goes_with_it(tmp_path):
    shell(f"sleep 60 >/dev/null 2>&1 & echo $! > {tmp_path}/pid")
    gone(int((tmp_path / "pid").read_text()))


def gone(pid):
    until = time.monotonic() + 30
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_an_endless_talker_takes_no_memory():
    def mib():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    before = mib()
    with pytest.raises(TimeoutError):
        shell("exec yes", timeout_s=1)
    assert mib() - before < 50, "a second of it is gigabytes"
