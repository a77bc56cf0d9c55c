"""Thousands of bad inputs, the same in every run, to every reader: one of our errors each, and nothing else happens.

`tools/fire.py` gives them a hundred thousand others. What was found so is a small test of its own beside the reader's.
"""

import json
import os
from pathlib import Path

import pytest
from campaign import READERS, campaign
from readers import Seeds

from edgewright.model.source import open_source

EACH = int(os.environ.get("FIRE_EACH", "180"))
"""For each reader: together some 5,000, in a minute."""
SILENT = {"board_request", "child_answer", "kernel_files", "unit_file"}
"""They refuse by an answer, or by none."""
FIRST = int(os.environ.get("FIRE_FIRST", "0"))


@pytest.fixture
def seeds(bundle_dir, source_dir, tmp_path):
    (tmp_path / "seeds").mkdir()
    return Seeds(bundle_dir, source_dir, tmp_path / "seeds")


BY_CHILD = {"source": 6}
"""Readers that ask a child with torch: one input of so many, as each takes a part of a second."""
EVERY = [pytest.param(name, marks=pytest.mark.slow if name in BY_CHILD else ()) for name in sorted(READERS)]


@pytest.mark.parametrize("name", EVERY)
def test_a_bad_input_is_one_error_of_ours(name, seeds, tmp_path):
    (tmp_path / "fire").mkdir()
    count = EACH // BY_CHILD.get(name, 1)
    if name in BY_CHILD:
        open_source(seeds.source)  # the first one waits for the imports
    result = campaign(count, seeds, tmp_path / "fire", first=FIRST, only=(name,))[name]
    if "FIRE_OUT" in os.environ:
        Path(os.environ["FIRE_OUT"], name).write_text(json.dumps(vars(result)))
    assert result.faults == []
    assert result.inputs == count
    assert result.refused.total() > 0 or name in SILENT, "no input was bad"
