"""A conversation as a person has it, at a real terminal."""

import os
import pty
import re
import select
import signal
import sys
import time

import pytest
from conftest import edgewright
from llama2c import talker

pytestmark = pytest.mark.slow

STATS = re.compile(r"\[(\d+) of (\d+) prompt tokens read, [^]]*; (\d+) tokens at [^]]*ended by: (\w+)\]\r\n")


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    root = tmp_path_factory.mktemp("chat")
    asked = ("--task", "text-generation", "--precision", "fp32", "--allow-divergence", "-q")
    edgewright("build", talker(root, context=4096), "--out", root / "chat", *asked)
    return root / "chat"


class Terminal:
    """A command at a terminal of its own, where Ctrl-C is a signal to what runs there."""

    def __init__(self, *words):
        self.pid, self.end = pty.fork()
        if not self.pid:
            os.execv(sys.executable, [sys.executable, "-m", "edgewright", *map(str, words)])  # noqa: S606
        self.seen, self.code = "", None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.end)

    def type(self, words):
        os.write(self.end, words.encode())

    def until(self, wanted):
        """What it shows up to there, read as slowly as it is wanted; then the match."""
        until_s = time.monotonic() + 60
        while not (found := re.search(wanted, self.seen)):
            assert time.monotonic() < until_s, self.seen
            if select.select([self.end], [], [], 1)[0]:
                self.seen += os.read(self.end, 64).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def asked(self, words):
        """Say something; (tokens read, of how many, written, why no more) of its answer."""
        self.until(r"> $")
        self.type(words + "\n")
        found = self.until(STATS)
        return int(found[1]), int(found[2]), int(found[3]), found[4]

    def ended(self):
        """The exit code, after all is read."""
        while select.select([self.end], [], [], 10)[0]:
            try:
                if not os.read(self.end, 4096):
                    break
            except OSError:  # the other side is closed
                break
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


def test_a_turn_reads_what_is_new_and_reset_begins_anew(chat):
    with Terminal("run", chat, "--stats", "--max-new-tokens", "20") as terminal:
        read, all_of, written, why = terminal.asked("the road")
        assert (read, written, why) == (all_of, 20, "length")
        read, grown, _, _ = terminal.asked("a tree")
        assert grown > all_of + 20
        assert read <= grown - all_of, "the turn before was read again"
        terminal.until("> $")
        terminal.type("/reset\n")
        again, of, _, _ = terminal.asked("the road")
        assert of == all_of
        assert again <= of
        terminal.until("> $")
        terminal.type("/exit\n")
        assert terminal.ended() == 0


def test_a_key_ends_an_answer_and_what_was_said_stays(chat):
    assert any(_ended_by_a_key(chat) for _ in range(8)), "the answer was always there before the key"


def _ended_by_a_key(chat):
    """Whether the key came while it was answered, which is for the machine to say: all of it takes a second."""
    with Terminal("run", chat, "--stats", "--max-new-tokens", "3900", "--system", "be kind") as terminal:
        terminal.until("> $")
        terminal.type("the road\n")
        terminal.until("\r\n.")
        terminal.type("\x03")
        found = terminal.until(STATS)
        written = int(found[3])
        if found[4] == "length":
            assert written == 3900
            return False
        assert found[4] == "cancelled"
        assert 0 < written < 3900
        _, grown, _, _ = terminal.asked("a")
        assert grown > int(found[2]) + written - 2
        terminal.until("> $")
        terminal.type("\x04")
        assert terminal.ended() == 0
        return True


def test_a_model_without_a_template_says_how_it_is_asked(tmp_path):
    from llama2c import llama2c

    edgewright("build", llama2c(tmp_path), "--out", tmp_path / "b", "--precision", "fp32", "--allow-divergence", "-q")
    with Terminal("run", tmp_path / "b") as terminal:
        terminal.until("has no chat template.*edgewright run BUNDLE TEXT")
        assert terminal.ended() == 2
