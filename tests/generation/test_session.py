import json
import os

import numpy as np
import pytest
from bigram import Bigram, Recurrent

from edgewright.errors import DataError, UsageError
from edgewright.generation.session import CacheSession

PROMPT = [5, 9, 2, 8, 8, 1, 30, 4, 17]


def test_chunks_give_what_one_reading_gives():
    whole = CacheSession(Bigram()).prompt(PROMPT)
    for chunk in (1, 2, 4, 9, 100):
        session = CacheSession(Bigram(), chunk=chunk)
        assert (session.prompt(PROMPT) == whole).all()
        assert max(session.decoder.calls) <= chunk
        assert session.tokens == PROMPT


def test_a_prompt_that_begins_as_the_last_one_did_costs_only_what_is_new():
    session = CacheSession(Bigram())
    session.prompt(PROMPT)
    session.step(3)
    session.decoder.calls.clear()
    found = session.prompt([*PROMPT, 3, 6, 7])
    assert session.decoder.calls == [2]
    assert session.reused == len(PROMPT) + 1
    assert (found == CacheSession(Bigram()).prompt([*PROMPT, 3, 6, 7])).all()
    session.decoder.calls.clear()
    session.prompt([*PROMPT[:4], 11])  # it turns off after four
    assert session.decoder.calls == [1]
    session.decoder.calls.clear()
    session.prompt([*PROMPT[:4], 11])  # the same again: the last token alone is read again
    assert session.decoder.calls == [1]


def test_a_decoder_that_cannot_be_cut_reads_again_what_it_does_not_hold():
    session = CacheSession(Recurrent())
    session.prompt(PROMPT)
    session.step(3)
    calls = session.decoder.calls

    def read(ids):
        """The calls that a prompt takes; what comes of it is what comes of it alone."""
        calls.clear()
        assert (session.prompt(ids) == CacheSession(Recurrent()).prompt(ids)).all()
        assert session.tokens == list(ids)
        return calls

    assert read([*PROMPT, 3, 6, 7]) == [2], "a next turn costs its new tokens"
    assert read([*PROMPT, 4, 4]) == [2], "from the end of a prompt on"
    assert read([*PROMPT[:4], 11, 2]) == [4, 2], "from the beginning on, for nothing before is held"
    assert read([*PROMPT[:4], 12, 3]) == [2], "what two prompts began with is held for the third"
    assert read([*PROMPT[:4], 12, 3]) == [1, 1]
    session.rewind(5)
    assert session.tokens == [*PROMPT[:4], 12]
    assert (session.step(3) == CacheSession(Recurrent()).prompt([*PROMPT[:4], 12, 3])).all()
    with pytest.raises(UsageError, match="cannot go back to 3 tokens: of these the state after 0 is held; go back to"):
        session.decoder.rewind(3)


@pytest.mark.parametrize("kind", [Bigram, Recurrent])
def test_a_saved_session_goes_on_where_it_was(tmp_path, kind):
    session = CacheSession(kind(), "a" * 64)
    session.prompt(PROMPT)
    session.save(str(tmp_path / "s"))
    other = CacheSession(kind(), "a" * 64)
    other.resume(tmp_path / "s")
    other.decoder.calls.clear()
    assert (other.prompt([*PROMPT, 6]) == session.prompt([*PROMPT, 6])).all()
    assert other.decoder.calls == [1]


def test_a_session_of_another_artifact_is_refused(tmp_path):
    session = CacheSession(Bigram(), "a" * 64)
    session.prompt(PROMPT)
    session.save(tmp_path / "s")
    with pytest.raises(DataError, match="belongs to the artifact aaaaaaaaaaaa, this one is bbbbbbbbbbbb"):
        CacheSession(Bigram(), "b" * 64).resume(tmp_path / "s")
    with pytest.raises(DataError, match="has 9 tokens, the context is 8"):
        CacheSession(Bigram(context=8), "a" * 64).resume(tmp_path / "s")


def test_what_is_no_session_is_said(tmp_path):
    path = tmp_path / "s"
    head = np.frombuffer(json.dumps({"schema": 1, "artifact": "", "tokens": [1, -4]}).encode(), np.uint8)
    for content in (b"", b"PK\x03\x04", b"\x93NUMPY garbage"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no saved session"):
            CacheSession(Bigram()).resume(path)
    np.savez(tmp_path / "t.npz", head=head, a0=np.zeros(2))
    with pytest.raises(DataError, match="it has no tokens"):
        CacheSession(Bigram()).resume(tmp_path / "t.npz")
    head = np.frombuffer(json.dumps({"schema": 1, "artifact": "", "tokens": [1, 4]}).encode(), np.uint8)
    np.savez(tmp_path / "u.npz", head=head, a0=np.zeros((3, 3)))
    with pytest.raises(DataError, match="cache of another shape"):
        CacheSession(Bigram()).resume(tmp_path / "u.npz")
    np.savez_compressed(tmp_path / "w.npz", head=head, a0=np.zeros(10**6))
    with pytest.raises(DataError, match="its parts have 800"):
        CacheSession(Bigram()).resume(tmp_path / "w.npz")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="it is a named pipe"):
        CacheSession(Bigram()).resume(tmp_path / "pipe")
    np.savez(tmp_path / "v.npz", head=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="no saved session"):
        CacheSession(Bigram()).resume(tmp_path / "v.npz")


@pytest.mark.parametrize(
    ("ids", "words"), [([], "the prompt has 0 tokens"), ([1] * 65, "the prompt has 65 tokens, the context is 64")]
)
def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(ids, words):
    with pytest.raises(UsageError, match=words):
        CacheSession(Bigram()).prompt(ids)


def test_a_decoder_reads_no_more_than_its_context_and_rewinds_no_further_than_it_read():
    decoder = Bigram(context=4)
    decoder.read([1, 2, 3])
    with pytest.raises(UsageError, match="2 tokens after 3, the context is 4"):
        decoder.read([1, 2])
    with pytest.raises(UsageError, match="at least one"):
        decoder.read([])
    with pytest.raises(UsageError, match="go back to 4 tokens of 3"):
        decoder.rewind(4)
