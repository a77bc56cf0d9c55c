"""Tasks whose item is several rows of the model, ranking and labels of the asker's own; vectors cut and quantized."""

from copy import copy

import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.errors import DataError, EngineError, TokenizerError, UsageError
from edgewright.tasks import Example
from edgewright.tasks.feature_extraction import FeatureExtraction
from edgewright.tasks.text_ranking import TextRanking
from edgewright.tasks.zero_shot_classification import ZeroShotClassification
from edgewright.text import encoding as encodings
from edgewright.text.tokenizer import Tokenizer

ranker = TextRanking(Settings(max_length=32))
NLI = Settings(max_length=32, labels=("contradiction", "neutral", "entailment"))
NONE, ONE = {"query": "who", "texts": []}, {"query": "who", "texts": "a"}
TEXTS = ["the river", "had risen", "in the night the river had risen and the night was long", "soup"]


@pytest.fixture(scope="module")
def tokenizer(_tokenizer):
    return Tokenizer(_tokenizer, 32)


class Engine:
    """A text is worth what its tokens add up to, as a logit."""

    def __init__(self, outputs=1):
        self.outputs, self.shapes = outputs, []

    def __call__(self, feeds):
        self.shapes.append(feeds["input_ids"].shape)
        worth = (feeds["input_ids"] * feeds["attention_mask"]).sum(axis=1) % 7 - 3.0
        return {"logits": np.stack([worth * (at + 1) for at in range(self.outputs)], axis=1).astype(np.float32)}


# text-ranking


def test_texts_are_ranked_in_one_run_as_each_by_itself(tokenizer):
    engine, item = Engine(), {"query": "who", "texts": TEXTS}
    (found,) = ranker.answer(engine, tokenizer, [item])
    assert len(engine.shapes) == 1
    assert engine.shapes[0][0] == len(TEXTS)
    assert sorted(one["corpus_id"] for one in found) == [0, 1, 2, 3]
    assert [one["text"] for one in found] == [TEXTS[one["corpus_id"]] for one in found]
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    for one in found:
        ((alone,),) = ranker.answer(Engine(), tokenizer, [{"query": "who", "texts": [one["text"]]}])
        assert alone["score"] == pytest.approx(one["score"])
        assert 0 < one["score"] < 1
    assert ranker.asking(top_k=2).answer(Engine(), tokenizer, [item]) == [found[:2]]


def test_of_two_outputs_the_second_says_that_it_answers(tokenizer):
    (found,) = ranker.answer(Engine(2), tokenizer, [{"query": "who", "texts": TEXTS}])
    (one,) = ranker.answer(Engine(), tokenizer, [{"query": "who", "texts": TEXTS}])
    assert [r["corpus_id"] for r in found] == [r["corpus_id"] for r in one]
    with pytest.raises(EngineError, match="one output or two, this one has 3"):
        ranker.answer(Engine(3), tokenizer, [{"query": "who", "texts": TEXTS}])


def test_long_texts_are_run_apart_and_come_back_in_order(tokenizer, monkeypatch):
    monkeypatch.setattr(encodings, "_MOST_TOKENS", 40)
    engine = Engine()
    (found,) = ranker.answer(engine, tokenizer, [{"query": "who", "texts": TEXTS * 3}])
    monkeypatch.undo()
    assert found == ranker.answer(Engine(), tokenizer, [{"query": "who", "texts": TEXTS * 3}])[0]
    assert sum(rows for rows, _ in engine.shapes) == 12
    assert all(rows == 1 or rows * length <= 40 for rows, length in engine.shapes)
    assert len({length for _, length in engine.shapes}) > 1


def test_scores_that_are_all_one_keep_their_order(tokenizer):
    def run(feeds):
        assert len(feeds["input_ids"]) == 4
        return {"logits": np.array([[60.0], [90.0], [70.0], [80.0]], np.float32)}

    (found,) = ranker.answer(run, tokenizer, [{"query": "who", "texts": TEXTS}])
    assert [one["corpus_id"] for one in found] == [1, 3, 2, 0]


@pytest.mark.parametrize(
    "given",
    [
        "who",
        ("who", TEXTS),
        {"query": "who"},
        {"query": "who", "texts": []},
        {"query": 5, "texts": ["a"]},
        {"query": "who", "texts": "a"},
    ],
)
def test_what_is_no_query_with_texts_is_told(given):
    with pytest.raises(DataError):
        ranker.taken(given)


def answers(*orders):
    return [[{"corpus_id": at, "score": 1.0, "text": ""} for at in order] for order in orders]


@pytest.mark.slow
def test_ndcg_is_scikit_learns():
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score  # takes a second
    rng = np.random.default_rng(3)
    for size in (1, 3, 10, 25):
        gains, scores = rng.integers(0, 4, size).astype(float), rng.permutation(size).astype(float)
        example = Example(None, tuple(gains))
        found = ranker.measured("ndcg@10", answers(np.argsort(-scores)), [example])(np.ones((1, 1)))[0]
        wanted = 100 * ndcg_score([gains], [scores], k=10) if size > 1 else 100.0 * (gains[0] > 0)
        assert found == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("gains", "wanted"), [((1, 0, 0), 100), ((0, 0, 2), 100 / 3), ((0, 0), 0), ((0,) * 10 + (1,), 0)]
)
def test_mrr_is_one_over_the_first_right_place(gains, wanted):
    found = ranker.measured("mrr@10", answers(range(len(gains))), [Example(None, gains)])
    assert found(np.ones((1, 1)))[0] == pytest.approx(wanted)


def test_rows_of_queries():
    one = ranker.example({"query": "q", "texts": ["a", "b"], "labels": [0, 2]})
    assert one == Example({"query": "q", "texts": ["a", "b"]}, (0.0, 2.0))
    two = ranker.example({"query": "q", "positive": ["b"], "negative": ["a", "c"]})
    assert two == Example({"query": "q", "texts": ["b", "a", "c"]}, (1.0, 0.0, 0.0))
    for row in (
        {"query": "q", "texts": ["a"], "labels": [1, 2]},
        {"query": "q", "texts": ["a"], "labels": [-1]},
        {"query": "q", "texts": "a", "labels": [1]},
    ):
        with pytest.raises(DataError):
            ranker.example(row)


# zero-shot-classification


def asker(**options):
    return ZeroShotClassification(NLI).asking(**options)


def test_labels_are_told_apart_by_their_entailments(tokenizer):
    engine = Engine(3)
    (found,) = asker(candidate_labels="soup, river").answer(engine, tokenizer, ["the night"])
    assert [shape[0] for shape in engine.shapes] == [1, 1]
    assert set(found) == {"sequence", "labels", "scores"}
    assert found["sequence"] == "the night"
    assert sorted(found["labels"]) == ["river", "soup"]
    assert sum(found["scores"]) == pytest.approx(1)
    assert found["scores"] == sorted(found["scores"], reverse=True)
    (several,) = asker(candidate_labels=["soup", "river"], multi_label=True).answer(Engine(3), tokenizer, ["the night"])
    assert sum(several["scores"]) != pytest.approx(1)


def test_what_is_too_long_is_cut_from_the_text(tokenizer):
    encoding = asker(candidate_labels=["soup"]).encode(tokenizer, ["the river " * 50])
    sides = encoding.sequences[0]
    whole = tokenizer.encode(["This example is soup."]).lengths[0] - 2
    assert (len(sides), sides.count(1)) == (32, whole)
    assert tokenizer.encode(["the river " * 50]).lengths[0] == 32
    encoding = asker(hypothesis_template="the river " * 50 + "{}", candidate_labels=["soup"]).encode(tokenizer, ["the"])
    assert len(encoding.sequences[0]) == 32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hypothesis_template": "no place"}, "has no {} for the label"),
        ({"hypothesis_template": "{a}"}, "hypothesis_template '{a}'"),
        ({"candidate_label": "a"}, "has no option candidate_label; it has candidate_labels"),
    ],
)
def test_options_that_cannot_be_are_told(options, words):
    with pytest.raises(UsageError) as caught:
        asker(**options)
    assert words in str(caught.value)


def test_a_text_needs_labels_and_a_model_an_entailment(tokenizer):
    with pytest.raises(DataError, match="row 3 has no labels to choose from"):
        asker().taken("the night", "row 3")
    assert asker().taken({"text": "a", "candidate_labels": "b,c"}) == {"sequence": "a", "candidate_labels": ["b", "c"]}
    other = ZeroShotClassification(Settings(max_length=32, labels=("no", "yes"))).asking(candidate_labels="a")
    with pytest.raises(UsageError, match="none of the labels no, yes is an entailment"):
        other.encode(tokenizer, ["the night"])


def test_a_files_labels_are_those_that_are_asked_about(tmp_path):
    from edgewright.data import rows as data

    (tmp_path / "rows.tsv").write_text("text\tlabel\na\tsoup\nb\triver\nc\tsoup\n")
    found = data.examples(tmp_path / "rows.tsv", asker())
    assert [example.label for example in found] == ["soup", "river", "soup"]
    assert {tuple(example.item["candidate_labels"]) for example in found} == {("river", "soup")}
    right = [{"sequence": "", "labels": [label], "scores": [1.0]} for label in ("soup", "river", "river")]
    assert asker().score(right, found) == pytest.approx(200 / 3)


# vectors cut and quantized

VECTORS = np.random.default_rng(1).normal(size=(40, 24)).astype(np.float32)


def extractor(**options):
    return FeatureExtraction(Settings(max_length=8)).asking(**options)


def test_vectors_are_cut_and_quantized():
    assert extractor(truncate_dim=5).shaped(VECTORS[0]).tolist() == VECTORS[0, :5].tolist()
    whole = extractor(quantize="int8").shaped(VECTORS[0])
    assert (whole.dtype, np.abs(whole).max()) == (np.int8, 127)
    cosine = whole @ VECTORS[0].astype(float) / np.linalg.norm(whole.astype(float)) / np.linalg.norm(VECTORS[0])
    assert cosine > 0.9999
    bits, signed = (extractor(quantize=how).shaped(VECTORS[0]) for how in ("ubinary", "binary"))
    assert (bits.dtype, signed.dtype, len(bits)) == (np.uint8, np.int8, 3)
    assert (bits.astype(int) - 128 == signed).all()
    for how, kept in (("ubinary", bits), ("binary", signed)):
        assert extractor(quantize=how).numbers(kept).tolist() == np.where(VECTORS[0] > 0, 1, -1).tolist()
    assert extractor(quantize="int8").shaped(np.zeros(4, np.float32)).tolist() == [0] * 4


def test_texts_of_a_table_are_run_together_by_length_and_never_one_row_alone(tokenizer):
    shapes = []

    def run(feeds):
        assert feeds["attention_mask"].all(), "no padding"
        shapes.append(feeds["input_ids"].shape)
        return {"sentence_embedding": feeds["input_ids"][:, :2].astype(np.float32)}

    def task(**settings):
        return FeatureExtraction(Settings(max_length=32, pooling="model", **settings))

    texts = ["a king", "a long story", "the king", "a story", "it was a good long story of a king"]
    found = task(table=True).answers(run, tokenizer, texts)
    assert len(shapes) < len(texts)
    assert min(rows for rows, _ in shapes) == 2
    shapes.clear()
    alone = task().answers(run, tokenizer, texts)
    assert [rows for rows, _ in shapes] == [1] * 5
    assert np.array_equal(found, alone)
    assert task(table=True).answers(run, tokenizer, []) == []


def test_of_a_text_without_a_token_the_same_is_said_among_others(tokenizer):
    task = FeatureExtraction(Settings(max_length=32, pooling="model", table=True))
    bare = copy(tokenizer)
    bare._backend = type(
        "Bare", (), {"encode": lambda _, text: tokenizer._backend.encode(text, add_special_tokens=False)}
    )()
    with pytest.raises(TokenizerError, match="the text has no tokens"):
        task.answers(lambda feeds: {"sentence_embedding": feeds["input_ids"]}, bare, ["a king", "", "a story"])


def test_vectors_of_a_list_are_one_array():
    assert extractor().together(list(VECTORS)).shape == (40, 24)
    assert extractor().together([]) == []
    assert extractor().record(VECTORS[0]) == VECTORS[0].tolist()
    assert extractor(quantize="int8").record(extractor(quantize="int8").shaped(VECTORS[0])) == pytest.approx(
        np.rint(VECTORS[0] / np.abs(VECTORS[0]).max() * 127), abs=1
    )


def test_more_numbers_than_there_are_cannot_be_asked():
    with pytest.raises(UsageError, match="truncate_dim is 25, the model's vectors have 24"):
        extractor(truncate_dim=25).shaped(VECTORS[0])


def by_hand(vectors, kept):
    """The share of ten nearest neighbours that are kept, in plain loops."""

    def nearest(side, at):
        rates = [(-(side[at] @ one) / np.linalg.norm(one), i) for i, one in enumerate(side) if i != at]
        return {i for _, i in sorted(rates)[:10]}

    return 100 * np.mean([len(nearest(vectors, at) & nearest(kept, at)) / 10 for at in range(len(vectors))])


@pytest.mark.parametrize("options", [{}, {"truncate_dim": 8}, {"quantize": "int8"}, {"quantize": "binary"}])
def test_the_recall_is_that_of_the_ten_nearest(options):
    task = extractor(**options).variant("recall@10")
    examples = [task.example({"text": str(at)}) for at in range(len(VECTORS))]
    assert task.items(examples) == [str(at) for at in range(40)]
    kept = np.stack([extractor(**options).numbers(extractor(**options).shaped(one)) for one in VECTORS])
    wanted = by_hand(VECTORS.astype(float), kept)
    assert task.score(list(VECTORS), examples) == pytest.approx(wanted, abs=0.6)
    assert wanted == 100 if not options else wanted < 100 or options == {"quantize": "int8"}


def test_the_recall_of_pairs_is_that_of_both_sides():
    task = extractor(truncate_dim=4).variant("recall@10")
    pairs = [task.example({"sentence1": "a", "sentence2": "b", "score": 1}) for _ in range(20)]
    alone = [task.example({"text": "a"}) for _ in range(40)]
    assert len(task.items(pairs)) == 40
    assert task.score(list(VECTORS), pairs) == pytest.approx(task.score(list(VECTORS), alone))


def test_a_correlation_is_of_what_is_answered():
    rows = [Example(("a", "b"), float(at)) for at in range(20)]
    for options in ({"quantize": "binary"}, {"quantize": "int8"}, {"truncate_dim": 3}):
        task = extractor(**options)
        shaped = [task.shaped(one) for one in VECTORS]
        first, second = np.split(np.stack([task.numbers(one) for one in shaped]), 2)
        plain = FeatureExtraction(Settings(max_length=8)).score([*first, *second], rows)
        assert task.score(shaped, rows) == pytest.approx(plain)
