import numpy as np
import pytest

from edgewright.runtimes._decoding.kept_states import KeptStates


def filled(*lengths):
    """States that are the number of tokens that were read, kept after each of `lengths`."""
    states = KeptStates(np.zeros((2, 1, 3, 2), np.float32))
    for length in lengths:
        states.now[...] = length
        states.keep(length)
    return states


def test_it_goes_back_to_what_was_kept_to_the_beginning_and_nowhere_else():
    states = filled(5, 9)
    states.now[...] = 12
    assert [states.held(length, 12) for length in (0, 4, 5, 8, 9, 11, 12, 20)] == [0, 0, 5, 5, 9, 9, 12, 12]
    states.go_back(5)
    assert (states.now == 5).all()
    assert states.held(9, 5) == 5, "what was kept of the longer text is of another one now"
    states.now[...] = 7
    states.go_back(5)
    assert (states.now == 5).all(), "a copy stays what it was"
    states.go_back(0)
    assert (states.now == 0).all()


def test_the_last_ones_are_kept():
    states = filled(*range(1, 30))
    states.now[...] = 40
    assert states.held(21, 40) == 0
    assert states.held(22, 40) == 22


def test_an_engine_that_fails_leaves_no_state_behind():
    states = filled(5)

    def fail():
        with states.run():
            states.now[0] = 6
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (states.now == 5).all()
    with states.run():
        states.now[...] = 6
    assert (states.now == 6).all()


def test_two_texts_change_places_with_all_that_is_kept():
    one, other = filled(5, 9), filled(7)
    one.swap(other)
    assert ((one.now == 7).all(), (other.now == 9).all()) == (True, True)
    assert (one.held(8, 20), other.held(8, 20)) == (7, 5)


def test_another_text_begins_as_one_did():
    states, other = filled(5, 9), filled(7)
    states.now[...] = 12
    for length in (12, 9, 5, 0):
        other.follow(states, length, 12)
        assert (other.now == length).all()
        assert other.held(9, 20) == min(length, 9)
    states.now[...] = 13
    assert (other.now == 0).all(), "in an array of its own"


def test_the_state_of_another_text_is_taken_if_it_is_one():
    states, other = filled(5), filled(7)
    states.take(other.now)
    assert (states.now == 7).all()
    assert states.held(6, 7) == 0
    for given in (np.zeros((2, 1, 3, 3), np.float32), np.zeros((2, 1, 3, 2), np.float16)):
        with pytest.raises(ValueError, match=r"float32 \(2, 1, 3, 2\) is wanted"):
            states.take(given)
