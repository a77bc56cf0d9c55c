"""A search with terms, beside trying every text that holds them."""

import itertools

import pytest
from generation.test_beams import RULES, Chance, probability

from edgewright.errors import EngineError
from edgewright.generation.beams import Rules, Search
from edgewright.generation.forced import write_forced


def holds(text, terms):
    return all(any(text[at : at + len(term)] == term for at in range(len(text))) for term in terms)


@pytest.mark.parametrize("terms", [((2,),), ((3, 2),), ((2,), (3, 0)), ((2, 2, 3),)])
def test_the_best_of_all_texts_that_hold_the_terms_is_found(terms):
    """With room for every text of four tokens: those that end, and those that are cut."""
    search = Search(num_beams=64, max_new_tokens=4)
    ended = [(*text, 1) for n in range(4) for text in itertools.product((0, 2, 3), repeat=n)]
    whole = [text for text in [*ended, *itertools.product((0, 2, 3), repeat=4)] if holds(text, terms)]
    for number in range(8):
        model, source = Chance(vocabulary=4, context=8), [number, 7, 1]
        read = hash(tuple(source))
        best = max(whole, key=lambda text, model=model, read=read: probability(model, read, text) / len(text))
        found = write_forced(model, source, search, RULES, terms)
        assert found.tokens == best
        assert found.score == pytest.approx(probability(model, read, best) / len(best), abs=1e-4)


@pytest.mark.parametrize("beams", [1, 12])
def test_few_beams_hold_the_terms_all_the_same(beams):
    """Three terms of seven tokens in a text of twelve, whatever the model makes likely."""
    terms = ((5, 6, 7), (8, 9), (10, 11))
    for number in range(10):
        search = Search(num_beams=beams, max_new_tokens=12)
        found = write_forced(Chance(vocabulary=12, context=12), [number, 1], search, RULES, terms)
        assert holds(found.tokens, terms)


def test_a_text_that_is_too_short_for_its_terms_is_the_best_that_there_is():
    rules = Rules(0, frozenset([1]), forced=1)
    found = write_forced(Chance(), [3, 1], Search(max_new_tokens=3), rules, ((2, 3, 4, 2),))
    assert (len(found.tokens), found.tokens[-1]) == (3, 1)


def test_banned_tokens_stay_banned_outside_of_terms():
    rules = Rules(0, frozenset([1]), banned=(3,))
    for number in range(5):
        found = write_forced(Chance(), [number, 1], Search(max_new_tokens=6), rules, ((2, 4),))
        assert 3 not in found.tokens


def test_a_logit_that_is_no_number_is_said():
    with pytest.raises(EngineError, match="logits of step 1 are not finite"):
        write_forced(Chance(broken=1), [3, 1], Search(max_new_tokens=5), RULES, ((3,),))
