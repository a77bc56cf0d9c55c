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


def test_a_link_is_followed_to_no_other_file_of_the_user_s(tmp_path):
    """A model that was cloned may have `LICENSE -> ~/.ssh/id_ed25519`, and an export is published."""
    home, blobs = tmp_path / "models--a--b" / "snapshots" / "0123", tmp_path / "models--a--b" / "blobs"
    home.mkdir(parents=True)
    blobs.mkdir()
    for name, there in {
        "LICENSE": blobs / "4567",
        "LICENSE.secret": tmp_path / "secret",
        "LICENSE.in": home / "in",
    }.items():
        there.write_text("terms")
        (home / name).symlink_to(there)
    (home / "LICENSE.loop").symlink_to("LICENSE.loop")
    (home / "LICENSE.none").symlink_to("none")
    assert [path.name for path in licences_of(home)] == ["LICENSE", "LICENSE.in"]
    aside = tmp_path / "clone"
    aside.mkdir()
    (aside / "LICENSE").symlink_to(blobs / "4567")
    assert licences_of(aside) == []
