"""The journal of a board: each line is chained to the one before it, so that a line altered or taken out is seen."""

import json

import pytest

from edgewright.devices._fake.disk import FakeDisk, Fault, PowerCut
from edgewright.devices._onboard.journal import Journal

ROOT = "/d"


@pytest.fixture
def journal():
    disk = FakeDisk()
    disk.mkdir(ROOT, 0o755)
    disk.sync_dir("/")
    found = Journal(disk, ROOT)
    for number in range(1, 6):
        found.note("said", f"the {number}th")
    return found


def lines(journal):
    return [line for line in journal.disk.peek(journal.path).splitlines() if line]


def put(journal, every, *, head=True):
    """Write another story; without a head."""
    disk = journal.disk
    handle = disk.open(journal.path, "write")
    disk.write(handle, b"\n" + b"\n".join(every))
    disk.close(handle)
    if not head:
        disk.unlink(journal.head)


def test_a_journal_is_as_it_was_written(journal):
    chain = journal.chain()
    assert (chain.lines, chain.problem) == (5, "")
    assert [event.why for event in journal.last(2)] == ["the 4th", "the 5th"]
    assert journal.disk.peek(journal.head).split() == [b"5", chain.head.encode()]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_line_that_was_altered_is_named(journal, number):
    every = lines(journal)
    every[number - 1] = every[number - 1].replace(b"the ", b"teh ")
    put(journal, every)
    assert journal.chain().problem == f"line {number} was altered"


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ([1], "the lines before 2 are missing"),
        ([2], "between 1 and 3"),
        ([2, 3], "between 1 and 4"),
        ([5], "it ends with line 4, line 5 was written"),
        ([4, 5], "it ends with line 3, line 5 was written"),
        ([1, 2, 3, 4, 5], "all of its 5 lines are missing"),
    ],
)
def test_a_line_that_was_taken_out_is_missed_then_and_ever_after(journal, gone, words):
    put(journal, [line for at, line in enumerate(lines(journal), 1) if at not in gone])
    assert words in journal.chain().problem
    journal.note("said", "more")
    assert "missing" in journal.chain().problem


def test_lines_in_another_order_are_seen(journal):
    first, second, *others = lines(journal)
    put(journal, [second, first, *others])
    assert "missing or altered between 2 and 1" in journal.chain().problem


def test_a_line_between_two_is_seen(journal):
    first, *others = lines(journal)
    put(journal, [first, first.replace(b'"n": 1', b'"n": 2'), *others])
    assert journal.chain().problem


def test_without_its_head_it_is_not_believed(journal):
    put(journal, lines(journal), head=False)
    assert journal.chain().problem == "its head is missing"


def test_what_an_older_edgewright_wrote_stays_and_the_chain_begins_behind_it():
    disk = FakeDisk()
    disk.mkdir(ROOT, 0o755)
    journal = Journal(disk, ROOT)
    handle = disk.open(journal.path, "append")
    disk.write(handle, b'{"what": "installed", "why": "x", "at_s": 1}\n{"wha')
    disk.close(handle)
    journal.note("said", "one")
    assert (journal.chain().lines, journal.chain().problem) == (1, "")
    assert [event.what for event in journal.last(9)] == ["installed", "said"]


def test_the_oldest_lines_go_and_it_is_said(journal):
    for number in range(200):
        journal.note("said", f"{number} " + "x" * 2000)
        assert journal.chain().problem == ""
    assert len(journal.disk.peek(journal.path)) < 2**17
    assert json.loads(lines(journal)[0])["n"] > 80
    assert journal.last(1)[0].why.startswith("199 ")
    every = lines(journal)
    put(journal, every[1:])
    assert f"the lines before {json.loads(every[1])['n']} are missing" in journal.chain().problem


@pytest.mark.parametrize("kind", ["crash", "error", "nospace", "short"])
def test_wherever_a_note_fails_the_chain_holds(journal, kind):
    start = journal.disk.copy()
    journal.note("said", "once more")
    count = len(journal.disk.log) - len(start.log)
    assert count > 5
    for at in range(len(start.log), len(start.log) + count):
        for kept in (False, True):
            disk = start.copy()
            disk.fault = Fault(at, kind)
            found = Journal(disk, ROOT)
            try:
                found.note("said", "once more")
            except PowerCut:
                disk.reboot(kept=kept)
            disk.fault = None
            assert found.chain().problem == "", (at, start.log[-1:])
            found.note("said", "later")
            assert (found.chain().problem, found.last(1)[0].why) == ("", "later")
