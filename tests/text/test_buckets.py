"""The lengths that a text is padded to, and what padding leaves of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import EngineError, UsageError
from edgewright.text.buckets import buckets, check_buckets, pad, pick, rows


@given(st.integers(1, 10_000))
def test_no_text_is_padded_to_more_than_twice_its_length_beyond_the_shortest(longest):
    found = buckets(longest)
    assert list(found) == sorted(set(found))
    assert found[-1] == longest
    for length in range(1, longest + 1, max(1, longest // 50)):
        assert length <= pick(found, length) <= max(found[0], 2 * length)


def test_a_text_beyond_the_longest_is_refused():
    with pytest.raises(EngineError, match="a text has 65 tokens, the artifact takes at most 64"):
        pick((16, 64), 65)


@pytest.mark.parametrize("chosen", [(16,), (24, 100), (200,)])
def test_a_choice_is_some_of_them_and_the_longest(chosen):
    check_buckets((16, 100), 100)
    check_buckets((), 100)
    with pytest.raises(UsageError, match="take some of 16, 32, 64, 100, 100 among them"):
        check_buckets(chosen, 100)


def test_rows_lose_their_padding_and_keep_a_hole():
    ids, mask = np.arange(8).reshape(2, 4), np.array([[1, 0, 1, 0], [1, 1, 1, 1]])
    first, second = rows({"input_ids": ids, "attention_mask": mask})
    assert first["input_ids"].tolist() == [[0, 1, 2]]
    assert second["input_ids"].tolist() == [[4, 5, 6, 7]]
    assert pad(first["attention_mask"], 5, np.int32).tolist() == [[1, 0, 1, 0, 0]]
