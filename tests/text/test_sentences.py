"""Where sentences end, and that nothing is lost between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.text.sentences import fitting, sentences

LINES = {
    "Turn on the lights.": 1,
    "Turn on the lights. Lock the door! Is it late?": 3,
    "Mr. Smith met Dr. Jones at 3.30 p.m. yesterday.": 1,
    "J. R. R. Tolkien wrote it. We read it.": 2,
    "It costs $3.50. That is cheap.": 2,
    "He said \u201cStop!\u201d Then he left.": 2,
    "Wait... what?": 1,
    "See e.g. Paris. It is nice.": 2,
    "\u00bfD\u00f3nde est\u00e1? \u00a1Aqu\u00ed! Bien.": 3,
    "\u4eca\u5929\u5f88\u597d\u3002\u660e\u5929\u4e5f\u597d\uff01": 2,
    "no end at all": 1,
    "ends with space. ": 1,
    "": 0,
}


@pytest.mark.parametrize("line", LINES)
def test_sentences_end_where_a_reader_says(line):
    assert len(sentences(line)) == LINES[line]


@given(st.text(alphabet=list('aB1.!? "\u3002\u201d')))
def test_sentences_joined_are_the_line(line):
    assert "".join(sentences(line)) == line
    assert all(sentences(line))


@given(st.text(alphabet="ab ", max_size=60), st.integers(1, 20))
def test_pieces_fit_and_joined_are_the_text(text, fits):
    pieces = fitting(text, fits)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= fits
    assert all(pieces) or not text


def test_pieces_are_cut_between_words():
    assert fitting("one two three four", 10) == ["one two ", "three four"]
