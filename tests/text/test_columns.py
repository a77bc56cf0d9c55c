import numpy as np
import pytest

from edgewright.errors import DataError
from edgewright.text.columns import several


@pytest.mark.parametrize("item", ["a", b"a", {"text": "a"}, ("a", "b"), {"a"}, frozenset("a"), None, 3])
def test_one_item_is_not_several(item):
    assert several(item) is None


@pytest.mark.parametrize("items", [["a", "b"], np.array(["a", "b"]), np.array(["a", "b"], dtype=object), iter("ab")])
def test_lists_columns_and_generators_give_their_items(items):
    found = list(several(items))
    assert found == ["a", "b"]
    assert {type(each) for each in found} == {str}


def test_a_table_is_no_column():
    with pytest.raises(DataError, match=r"a ndarray of the shape \(2, 3\) is no column of texts"):
        several(np.zeros((2, 3)))
