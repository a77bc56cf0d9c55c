"""Lines of a client over a real socket: whole ones, pieces, many at once, too long ones, and a side that is closed."""

import asyncio
import socket

import pytest

from edgewright.serving.line_connection import LineConnection


def talked(client, *, most_bytes=64, answer=lambda line: line.upper()):
    """What a client hears, and which lines were given out: `client` is called with its end of the socket."""

    async def run():
        loop, lines, gone = asyncio.get_running_loop(), [], asyncio.Event()
        ours, theirs = socket.socketpair()
        ours.settimeout(0)

        def asked(connection, line):
            lines.append(line)
            loop.call_soon(connection.say, answer(line))

        def too_long(connection):
            connection.say(b"too long\n", last=True)

        await loop.connect_accepted_socket(
            lambda: LineConnection(most_bytes, asked, too_long, lambda _: gone.set()), ours
        )
        heard = await asyncio.wait_for(asyncio.to_thread(client, theirs), 20)
        theirs.close()
        await asyncio.wait_for(gone.wait(), 10)
        return heard, lines

    return asyncio.run(run())


def all_of(way):
    way.shutdown(socket.SHUT_WR)
    return way.makefile("rb").read()


def test_a_line_in_pieces_is_one_and_several_at_once_are_answered_in_order():
    def client(way):
        way.sendall(b"one")
        way.sendall(b" line\ntwo\nthr")
        way.sendall(b"ee\n")
        return all_of(way)

    heard, lines = talked(client)
    assert lines == [b"one line\n", b"two\n", b"three\n"]
    assert heard == b"ONE LINE\nTWO\nTHREE\n"


def test_the_last_line_needs_no_end_and_of_nothing_there_is_no_line():
    heard, lines = talked(lambda way: (way.sendall(b"last"), all_of(way))[1])
    assert (heard, lines) == (b"LAST", [b"last"])
    heard, lines = talked(lambda way: (way.sendall(b"  "), all_of(way))[1])
    assert (heard, lines) == (b"", [])


@pytest.mark.parametrize("sent", [b"x" * 65, b"x" * 65 + b"\n", b"short\n" + b"x" * 1000])
def test_a_line_that_is_too_long_is_said_and_nothing_of_it_is_read(sent):
    heard, lines = talked(lambda way: (way.sendall(sent), way.makefile("rb").read())[1])
    assert heard.endswith(b"too long\n")
    assert b"x" not in b"".join(lines)


def test_a_line_of_the_limit_is_taken():
    heard, lines = talked(lambda way: (way.sendall(b"x" * 64 + b"\n"), all_of(way))[1])
    assert heard == b"X" * 64 + b"\n" == lines[0].upper()


def test_who_does_not_read_is_asked_nothing_more_and_then_hears_all():
    """Answers of a MiB each: the second line is given out when the first answer is away."""
    given = []

    def client(way):
        way.sendall(b"1\n2\n3\n")
        asyncio.run(asyncio.sleep(0.2))
        given.append(len(seen))
        return all_of(way)

    seen = []
    heard, lines = talked(client, answer=lambda line: (seen.append(line), line[:1] * 2**20)[1])
    assert given == [1]
    assert heard == b"1" * 2**20 + b"2" * 2**20 + b"3" * 2**20
    assert len(lines) == 3


def test_a_thousand_lines_at_once_do_not_end_the_stack():
    heard, lines = talked(lambda way: (way.sendall(b"\n" * 5000), all_of(way))[1], most_bytes=2**16)
    assert len(lines) == 5000
    assert heard == b"\n" * 5000
