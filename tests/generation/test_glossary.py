"""Which terms a sentence asks for."""

import pytest

from edgewright.errors import DataError
from edgewright.generation.glossary import MOST_TERMS, Glossary, agreed

TERMS = {"playlist": "lista", "front door": "puerta principal", "door": "puerta", "C++": "C++", "\u00dcber": "taxi"}


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("Play my PlayList.", ("lista",)),
        ("Lock the front door and the door, the door!", ("puerta principal", "puerta")),
        ("Two playlists outdoors.", ()),
        ("Learn C++ now", ("C++",)),
        ("Call an \u00fcber", ("taxi",)),
        ("", ()),
    ],
)
def test_whole_words_ask_for_their_terms(sentence, wanted):
    assert Glossary(TERMS).asked(sentence) == wanted
    assert Glossary({}).asked(sentence) == ()


@pytest.mark.parametrize(
    ("terms", "shown"),
    [
        ([("a", "b")], "a glossary has no terms"),
        ({"a": " "}, "glossary's 'a' stands for nothing"),
        ({"": "b"}, "stands for nothing"),
        ({"a": 3}, "stands for nothing"),
        ({"light": "luz", "Light": "foco"}, "'Light' stands for 'luz' and for 'foco'; leave one"),
        ({str(at): "x" for at in range(MOST_TERMS + 1)}, f"10001 terms, at most {MOST_TERMS} fit"),
    ],
)
def test_what_is_no_glossary_is_refused(terms, shown):
    with pytest.raises(DataError, match=shown):
        Glossary(terms)


def test_rows_that_say_the_same_again_are_one_term():
    assert agreed([("a", "b"), ("a", "b"), ("A", "b ")]) == {"a": "b", "A": "b "}
    with pytest.raises(DataError, match="'a' stands for 'b' and for 'c'"):
        agreed([("a", "b"), ("a", "c")])


def test_of_overlapping_terms_the_longest_stands():
    glossary = Glossary({"front": "delante", "front door": "puerta principal"})
    assert glossary.asked("Lock the front door.") == ("puerta principal",)
