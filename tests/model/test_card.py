"""Model cards of sources, as people write them."""

from pathlib import Path

import pytest

from edgewright.model.card import hub_id, read_card


def card(tmp_path, text):
    (tmp_path / "README.md").write_bytes(text.encode())
    return read_card(tmp_path)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("language: en", ("en",)),
        ("language: 'en'", ("en",)),
        ("language: [en, de]", ("en", "de")),
        ("language:\n- en\n- de", ("en", "de")),
        ('language:\n  - en\n  - "de"', ("en", "de")),
        ("language:\r\n- en", ("en",)),
        ("language:", None),
        ("languages: en", None),
        ("tags:\n- language: en", None),
        ("language: {en: 1}", None),
    ],
)
def test_lists_and_words_of_the_front_matter(tmp_path, written, words):
    found = card(tmp_path, f"---\nlicense: mit\n{written}\ntags: [x]\n---\n# A model\n")
    assert found.kept.get("language") == words
    assert found.licence == "mit"
    assert found.body == "\n# A model\n"


def test_other_keys_that_go_along(tmp_path):
    found = card(tmp_path, "---\nlicense: other\nlicense_name: mine\nbase_model: a/b\ndatasets:\n- sst2\nx: y\n---\n")
    assert found.kept == {"license_name": ("mine",), "base_model": ("a/b",), "datasets": ("sst2",)}


def test_a_card_without_front_matter_is_all_body(tmp_path):
    assert card(tmp_path, "# A model\n---\nlicense: mit\n---\n").licence is None
    assert read_card(tmp_path / "nowhere").body == ""


def test_the_first_directory_that_has_one_counts(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").write_text("here")
    assert read_card(tmp_path / "empty", tmp_path).body == "here"


def test_a_directory_of_the_hubs_cache_tells_its_id():
    assert hub_id(Path("/home/a/hub/models--owner--a--name/snapshots/0a1b")) == "owner/a--name"
    assert hub_id(Path("/home/a/models--owner--name/blobs/0a1b")) is None
    assert hub_id(Path("model")) is None
