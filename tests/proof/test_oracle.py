"""The judge of the gate that looks outside, on hand-made outputs: what agrees, what does not, and what it says."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from edgewright import registry
from edgewright.bundle.manifest import Settings
from edgewright.errors import GateFailed
from edgewright.model.outside import Told, ToldRow
from edgewright.proof import oracle
from edgewright.text.tokenizer import Tokenizer

FEEDS = ("input_ids", "token_type_ids")


def told_by(row, **fields):
    given = {"library": "their library 1.0", "rows": (row,), "batch": (), "length": 64, "tokenizer": "{}"}
    return Told(**{**given, "sides": ("right", "right"), **fields})


@pytest.fixture
def look(tokenizer_dir, tmp_path):
    """Hold one text of a task; the words of the refusal, "" where all agrees."""
    tokenizer = Tokenizer(tokenizer_dir, 64)

    def hold(task, outputs, answer, *, text="a good story", ids=None, types=None, **more):
        settings = more.pop("settings", Settings(max_length=64, labels=("no", "yes")))
        kind = registry.load("tasks", task)(settings)
        encoding = kind.encode(tokenizer, [text])
        own = encoding.feeds["input_ids"].tolist()[0] if ids is None else ids
        shape = encoding.feeds["input_ids"].shape[1]
        outputs = {
            name: np.asarray(value(shape) if callable(value) else value, np.float32) for name, value in outputs.items()
        }
        row = ToldRow((tuple(own),), None if types is None else (tuple(types),), answer)
        if isinstance(text, dict):  # several rows, each as it is
            kept = encoding.feeds["attention_mask"].astype(bool)
            both = ([line[real] for line, real in zip(encoding.feeds[name], kept, strict=True)] for name in FEEDS)
            row = ToldRow(*(tuple(tuple(map(int, line)) for line in lines) for lines in both), answer)
        more.setdefault("tokenizer", (tokenizer_dir / "tokenizer.json").read_text())
        (tmp_path / "told.json").write_bytes(msgspec.json.encode(told_by(row, **more)))
        source = SimpleNamespace(directory=tokenizer_dir, settings=settings)
        try:
            said = oracle.hold(source, kind, [(text, encoding, outputs)], tmp_path / "told.json")
        except GateFailed as error:
            return str(error)
        assert said == "their library 1.0 on 1 text"
        return ""

    return hold


def shares(*values):
    powers = np.exp(np.array(values) - max(values))
    return [
        {"label": name, "score": float(share)} for name, share in zip(("no", "yes"), powers / powers.sum(), strict=True)
    ]


def test_the_same_labels_and_scores_pass(look):
    assert look("text-classification", {"logits": [[1.0, 2.0]]}, shares(1, 2)) == ""
    assert look("text-classification", {"logits": [[1.0, 2.0]]}, shares(1, 2.0001)) == ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (shares(1, 2.01), "label 'yes' has the score 0.731059, 0.73302 there"),
        ([{"label": "maybe", "score": 1.0}], "label 'yes', which is none of maybe"),
        (shares(2, 1), "label 'yes' has the score 0.731059, 0.268941 there"),
    ],
)
def test_other_labels_and_scores_do_not(look, answer, words):
    assert words in look("text-classification", {"logits": [[1.0, 2.0]]}, answer)


@pytest.mark.parametrize(
    ("ours", "score", "why"),
    [
        ("identity", 0.880797, "activation: identity here, sigmoid there"),
        ("sigmoid", 2.0, "activation: sigmoid here, identity there"),
    ],
)
def test_an_activation_that_explains_it_is_named(look, ours, score, why):
    settings = Settings(max_length=64, labels=("no",), problem="regression", activation=ours)
    words = look("text-classification", {"logits": [[2.0]]}, [{"label": "no", "score": score}], settings=settings)
    assert f"it is explained by {why}" in words


def test_the_kind_of_problem_that_explains_it_is_named(look):
    chances = [{"label": name, "score": float(1 / (1 + np.exp(-value)))} for name, value in (("no", 1), ("yes", 2))]
    words = look("text-classification", {"logits": [[1.0, 2.0]]}, chances)
    assert "it is explained by problem: single_label here, multi_label there" in words


def test_other_ids_name_the_place_and_the_cut(look):
    words = look("text-classification", {"logits": [[1.0, 2.0]]}, shares(1, 2), ids=[2, 5, 3], length=3)
    assert "there; it is explained by the cut: 64 tokens here, 3 there" in words
    assert "their library 1.0 differs on 'a good story': token id 1 of " in words


def test_a_normalizer_that_explains_other_ids_is_named(look, tokenizer_dir):
    theirs = (
        (tokenizer_dir / "tokenizer.json")
        .read_text()
        .replace('"lowercase":true', '"lowercase":false')
        .replace('"lowercase": true', '"lowercase": false')
    )
    words = look("text-classification", {"logits": [[1.0, 2.0]]}, shares(1, 2), ids=[2, 5, 3], tokenizer=theirs)
    assert "it is explained by normalizer.lowercase: True here, False there" in words


def test_segment_ids_count(look):
    words = look("text-classification", {"logits": [[1.0, 2.0]]}, shares(1, 2), types=[1] * 99)
    assert "segment id 0 of" in words


@pytest.mark.parametrize(
    ("pooling", "normalize", "why"),
    [("mean", True, "pooling: mean here, cls there"), ("cls", False, "normalize: False here, True there")],
)
def test_a_pooling_that_explains_other_vectors_is_named(look, pooling, normalize, why):
    hidden = np.random.default_rng(1).normal(size=(1, 99, 4))
    wanted = hidden[0, 0] / np.linalg.norm(hidden[0, 0])
    settings = Settings(max_length=64, pooling=pooling, normalize=normalize)
    given = {"last_hidden_state": lambda length: hidden[:, :length]}
    words = look("feature-extraction", given, wanted.tolist(), settings=settings)
    assert why in words
    right = Settings(max_length=64, pooling="cls", normalize=True)
    assert look("feature-extraction", given, wanted.tolist(), settings=right) == ""


def test_a_vector_of_another_width_is_said(look):
    words = look("feature-extraction", {"last_hidden_state": lambda length: np.ones((1, length, 4))}, [1.0] * 5)
    assert "numbers of the shape [4], [5] there" in words


def test_numbers_that_are_none_do_not_pass(look):
    words = look("feature-extraction", {"last_hidden_state": lambda length: np.full((1, length, 4), np.nan)}, [1.0] * 4)
    assert "the largest error is nan" in words


RANKED = {"query": "a good story", "texts": ["the river", "soup"]}
CHOSEN = {"sequence": "a good story", "candidate_labels": ["river", "soup"]}
NLI = Settings(max_length=64, labels=("contradiction", "neutral", "entailment"))


@pytest.mark.parametrize(
    ("told", "words"),
    [([0.5, 0.880797], ""), ([0.5, None], ""), ([0.5, 0.8], "text 1 has the score 0.880797, 0.8 there")],
)
def test_the_score_of_each_text_that_is_ranked(look, told, words):
    found = look("text-ranking", {"logits": [[0.0], [2.0]]}, told, text=RANKED, settings=Settings(max_length=64))
    assert found[found.find("text 1") :].startswith(words) if words else found == ""


@pytest.mark.parametrize(
    ("scores", "words"),
    [([0.731059, 0.268941], ""), (None, ""), ([0.5, 0.5], "label 'soup' has the score 0.731059, 0.5 there")],
)
def test_the_score_of_each_label_of_the_askers_own(look, scores, words):
    told = scores and {"sequence": CHOSEN["sequence"], "labels": ["soup", "river"], "scores": scores}
    found = look("zero-shot-classification", {"logits": [[0, 0, 1], [3, 0, 2]]}, told, text=CHOSEN, settings=NLI)
    assert words in found if words else found == ""
