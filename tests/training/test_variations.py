"""Rows that are made of others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.training.variations import Variations


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("sentence\tlabel\na fine day\t1\nno\t0\nthe sea was calm and the night was long\t1\n")
    return path


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text("abc ", min_size=1, max_size=30), min_size=1, max_size=20), st.integers(0, 3), st.integers(0, 9)
)
def test_variations_follow_their_row_have_no_label_and_repeat(texts, copies, seed):
    from edgewright.tasks import Example

    vary = Variations({"a": ["b", "c"]}, copies, seed)
    rows = list(vary(Example(text, 1) for text in texts))
    assert [row.item for row in rows if row.label is not None] == texts
    assert len(rows) == len(texts) * (1 + copies)
    assert rows == list(vary(Example(text, 1) for text in texts))
