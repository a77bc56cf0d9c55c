"""The counts of `docs/sources.md`: a small part of what `tools/sources.py` counts, and the page beside its record."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from strange_sources import altered

from edgewright.model.source import open_source

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
pytest.importorskip("transformers")
sys.path.insert(0, str(ROOT / "tools"))
import sources  # noqa: E402
import tiny_models  # noqa: E402

KINDS = ("squeezebert", "mpnet", "roberta", "modernbert", "albert", "deberta-v2", "xlm-roberta", "camembert")
"""A family for each tokenizer.json that the classes make: WordPiece, BPE of bytes, Unigram."""
STEP = 331
"""A prime: every block of Unicode that is longer than this is met, at 3,360 code points."""


@pytest.mark.parametrize("family", KINDS)
def test_ids_are_those_of_the_familys_own_tokenizer(tmp_path, family):
    source = open_source(sources.make(family, "text-classification", tmp_path / "model"))
    assert sources.different(source, [*sources.code_points(STEP), *tiny_models.texts()]) == []


def test_other_ids_are_seen(tmp_path):
    def cased(tree):
        tree["normalizer"]["lowercase"] = False

    source = open_source(sources.make("bert", "text-classification", tmp_path / "model"))
    other = replace(source, directory=altered(source.directory, tmp_path / "other", tokenizer=cased))
    assert sources.different(other, ["good", "GOOD"]) == ["GOOD"]


@pytest.mark.shared_data
@pytest.mark.parametrize("family", ["mpnet", "modernbert", "camembert"])
def test_naughty_strings_have_the_same_ids(tmp_path, family, shared):
    source = open_source(sources.make(family, "text-classification", tmp_path / "model"))
    assert sources.different(source, sources.data_sets(shared)["naughty strings"]) == []


ASKED = [{"question": "Who brought soup?", "context": "The river had risen. " * 20 + "Someone brought soup."}]


@pytest.mark.parametrize(
    ("family", "task"),
    [
        pytest.param("deberta-v2", "question-answering", marks=pytest.mark.heavy),
        pytest.param("mpnet", "text-ranking", marks=pytest.mark.heavy),
        pytest.param("mobilebert", "text-ranking", marks=pytest.mark.heavy),
        ("camembert", "zero-shot-classification"),
        pytest.param("modernbert", "token-classification", marks=pytest.mark.heavy),
        pytest.param("albert", "fill-mask", marks=pytest.mark.heavy),
        pytest.param("convbert", "feature-extraction", marks=pytest.mark.heavy),
    ],
)
def test_a_bundle_answers_as_transformers(tmp_path, family, task):
    model = sources.make(family, task, tmp_path / "model")
    mask = json.loads((model / "tokenizer_config.json").read_text())["mask_token"]
    given = sources.items(task, [text for text in tiny_models.texts() if text.strip()][:12], ASKED, mask)
    assert sources.answered(model, task, given, tmp_path) == []


def test_other_answers_are_seen():
    assert sources.same([{"label": "a", "score": 0.5}], [{"label": "a", "score": 0.50009}])
    assert not sources.same([{"label": "a", "score": 0.5}], [{"label": "a", "score": 0.5002}])
    assert not sources.same([{"label": "a", "score": 0.5}], [{"label": "b", "score": 0.5}])
    assert not sources.same([1.0], [1.0, 2.0])


def test_the_page_shows_the_record():
    record = json.loads((ROOT / "docs/sources.json").read_text())
    assert sources.table(record) in sources.PAGE.read_text()
    assert [row["family"] for row in record["families"]] == list(tiny_models.ARCHITECTURES)
