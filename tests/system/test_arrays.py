import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgewright.errors import ChildFailed
from edgewright.system import arrays

array = hnp.arrays(st.sampled_from([np.int64, np.float32]), hnp.array_shapes(max_dims=3, max_side=4))
names = st.from_regex(r"[a-z_][a-z_0-9/.]{0,12}", fullmatch=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(names, array, min_size=1, max_size=3), max_size=12))
def test_what_was_saved_is_loaded_in_the_same_order(tmp_path, batches):
    arrays.save(tmp_path / "x.npz", batches)
    again = arrays.load(tmp_path / "x.npz")
    assert [list(batch) for batch in again] == [list(batch) for batch in batches]
    for one, other in zip(again, batches, strict=True):
        for name, values in one.items():
            assert values.dtype == other[name].dtype
            np.testing.assert_array_equal(values, other[name])


def test_pickled_objects_are_refused(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.savez(file, **{"0/a": np.array([{"an": "object"}], dtype=object)})
    with pytest.raises(ChildFailed, match=r"not whole: .*allow_pickle"):
        arrays.load(tmp_path / "x.npz")
