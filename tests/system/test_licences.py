"""What goes along where a model or edgewright is passed on."""

import os
from pathlib import Path

from edgewright.system.licences import licences_of, own_licences

ROOT = Path(__file__).parents[2]


def test_edgewright_s_own_is_that_of_the_project():
    assert own_licences()["LICENSE"] == (ROOT / "LICENSE").read_text()


def test_a_model_s_are_files_of_such_names_and_sizes(tmp_path):
    for name in ("LICENSE", "LICENSE.md", "LICENSE of mine", "license", "README.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "LICENSES").mkdir()
    os.mkfifo(tmp_path / "LICENSE.fifo")
    (tmp_path / "LICENSE.big").write_bytes(bytes(2**18 + 1))
    assert [path.name for path in licences_of(tmp_path)] == ["LICENSE", "LICENSE.md"]
    assert licences_of(tmp_path / "none") == []
