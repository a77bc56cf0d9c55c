"""Devices by their URL, and nothing that a shell or an option parser would take for something else."""

import pytest

from edgewright import registry
from edgewright.boards import connect as device
from edgewright.boards.agent import PythonBoard
from edgewright.boards.connect import board_behind, board_of, connect, disconnect
from edgewright.devices._fake.board import Fake
from edgewright.devices.local import Local
from edgewright.errors import UsageError

HOSTILE = [
    *("", "Local", "local ", "://x", "ssh://", "ssh:/x", "fake://-oProxyCommand=x", "fake://a b", "fake://a\nb"),
    *("fake://a\x1b[2J", "fake://$(id)", "fake://a;b", "fake://a'b", "fake://ä", "FAKE://x", "fake://" + "a" * 300),
]


class There(Local):
    """A way with an address."""

    closed = False

    @classmethod
    def at(cls, rest):
        there = cls()
        there.root = f"/{rest}"
        return there

    def close(self):
        self.closed = True
        raise OSError("already gone")


def test_a_url_is_no_way_yet_and_what_opens_it_is_told():
    with pytest.raises(UsageError, match=r"'local' is no way to a board yet") as caught:
        board_of("local")
    assert caught.value.hint == "give edgewright.connect('local')"


def test_local_is_this_machine():
    assert isinstance(connect("local"), Local)


@pytest.mark.parametrize("url", HOSTILE)
def test_what_cannot_be_a_url_is_refused(url):
    with pytest.raises(UsageError, match="is no device; give local, or a URL such as ssh://user@host"):
        connect(url)


def test_an_unknown_scheme_names_the_others():
    with pytest.raises(UsageError, match=r"unknown transport 'carrier-pigeon'; choose from .*local"):
        connect("carrier-pigeon://home")


def test_a_transport_without_addresses_says_so():
    with pytest.raises(UsageError, match=r"a local device has no address, 'x' was given"):
        connect("local://x")


def test_every_way_that_was_opened_is_closed_at_the_end(monkeypatch):
    monkeypatch.setattr(registry, "load", lambda room, name: {("devices", "fake"): There}[room, name])
    ways = [connect("fake://a"), connect("fake://b")]
    assert [way.root for way in ways] == ["/a", "/b"]
    disconnect()
    assert all(way.closed for way in ways)
    assert device._opened == []


def test_a_way_is_one_to_a_board_with_a_python_and_a_board_is_itself():
    way, board = Local(), Fake()
    for found in (board_of(way, "/x", "py"), board_behind(way, root="/x", python="py")):
        assert (type(found), found.way, found.root, found.python) == (PythonBoard, way, "/x", "py")
    assert board_of(board) is board
    with pytest.raises(UsageError, match="/x was given with a board, which has its own"):
        board_of(board, "/x")
