"""The page of a profile: frames as wide as their time, none outside of its parent, names that cannot break it."""

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import FOUND

from edgewright.contracts.operators import Operator, Trace
from edgewright.reporting.flame import flame, page

RECT = re.compile(r'<rect x="([^"]+)" y="([^"]+)" width="([^"]+)"[^>]*><title>([^<]*)</title>')


def frames(operators, run_ms):
    found = [(float(x), float(y), float(w), title) for x, y, w, title in RECT.findall(flame(operators, run_ms))]
    assert found
    return found


def test_a_frame_is_as_wide_as_its_time():
    widths = {title.partition(":")[0]: width for _, _, width, title in frames(FOUND.trace.operators, 4.0)}
    assert widths["run"] == pytest.approx(960, abs=1)
    assert widths["bert"] == pytest.approx(960 * 3.5 / 4, abs=1)
    assert widths["dense"] == pytest.approx(960 * 2.0 / 4, abs=1)


PATHS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(".".join)
OPERATORS = st.lists(st.tuples(PATHS, st.floats(0.5, 5.0)), min_size=1, max_size=12)


@given(OPERATORS)
def test_no_frame_leaves_its_parent(given_):
    operators = tuple(Operator(str(at), "MatMul", path, 0.0, ms) for at, (path, ms) in enumerate(given_))
    rows = {}
    for x, y, width, _ in frames(operators, sum(ms for _, ms in given_)):
        rows.setdefault(y, []).append((x, x + width))
    depths = sorted(rows)
    for above, below in itertools.pairwise(depths):
        for begin, end in rows[below]:
            assert any(left - 0.02 <= begin and end <= right + 0.52 for left, right in rows[above])


def test_hostile_names_stay_text():
    evil = Operator("<script>", "<script>alert(1)</script>", '"><svg onload=x>.b', 0.0, 1.0)
    written = page(replace(FOUND, trace=Trace((evil,), 1.0, 1.0, 1)))
    assert written.count("<script") == 1  # its own
    assert "<svg onload" not in written


def test_the_page_says_what_it_is_of_and_needs_nothing_else():
    written = page(FOUND)
    assert "16 tokens: 3.8 ms" in written
    assert "between operators" in written
    assert not re.search(r"(src|href)=", written)
