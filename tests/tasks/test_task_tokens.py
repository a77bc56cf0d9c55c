"""Entities, passages and fillings from hand-made logits, with a real tokenizer."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.bundle.manifest import Settings
from edgewright.data import rows as data
from edgewright.errors import DataError, EdgewrightError, EngineError
from edgewright.inference import golden
from edgewright.proof import cases as proof_cases
from edgewright.tasks import Entity, Filling, Passage
from edgewright.tasks.fill_mask import FillMask
from edgewright.tasks.question_answering import QuestionAnswering
from edgewright.tasks.text_classification import TextClassification
from edgewright.tasks.token_classification import TokenClassification
from edgewright.text.encoding import picked
from edgewright.text.tokenizer import Tokenizer

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")
ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CONTEXT = "the and risen in the night. By morning the lower path was gone."


@pytest.fixture(scope="module")
def home(_tokenizer):
    return _tokenizer


@pytest.fixture(scope="module")
def tokenizer(home):
    return Tokenizer(home, 64)


def tagger(*labels):
    return TokenClassification(Settings(max_length=64, labels=labels or TAGS))


asker, filler = QuestionAnswering(Settings(max_length=64)), FillMask(Settings(max_length=64))


# token-classification


def tagged(tokenizer, text, tags, labels=TAGS):
    """The entities of a text whose words have these tags; every other piece has the last label."""
    task = tagger(*labels)
    encoding = task.encode(tokenizer, [text])
    words = encoding.words[0]
    logits = np.full((1, len(words), len(labels)), -4.0, np.float32)
    for token, word in enumerate(words):
        first = word is not None and word != words[token - 1]
        logits[0, token, labels.index(tags[word]) if first else -1] = 4.0
    (found,) = task.decode({"logits": logits}, encoding)
    return [(entity["entity_group"], text[entity["start"] : entity["end"]]) for entity in found]


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["O", "O", "O", "O"], []),
        (["B-PER", "I-PER", "O", "B-LOC"], [("PER", "river had"), ("LOC", "night")]),
        (["B-PER", "B-PER", "I-LOC", "I-PER"], [("PER", "river"), ("PER", "had"), ("LOC", "risen"), ("PER", "night")]),
        (["I-PER", "I-PER", "O", "I-PER"], [("PER", "river had"), ("PER", "night")]),
        (["MISC", "MISC", "O", "MISC"], [("MISC", "river had"), ("MISC", "night")]),
    ],
)
def test_tags_become_entities(tokenizer, tags, found):
    assert tagged(tokenizer, "river had risen night", tags) == found


def test_ends_and_singles_count_where_every_label_has_a_prefix(tokenizer):
    labels = ("O", "B-A", "I-A", "E-A", "S-A")
    tags = ["B-A", "E-A", "I-A", "S-A"]
    found = [("A", "river had"), ("A", "risen"), ("A", "night")]
    assert tagged(tokenizer, "river had risen night", tags, labels) == found
    assert tagged(tokenizer, "river had", ["E-MAIL", "E-MAIL"], ("O", "E-MAIL", "NAME")) == [("E-MAIL", "river had")]


def test_an_entity_has_the_mean_probability_of_its_words(tokenizer):
    task = tagger("O", "A")
    encoding = task.encode(tokenizer, ["the and"])
    logits = np.log(np.array([[[0.5, 0.5], [0.2, 0.8], [0.4, 0.6], [0.5, 0.5]]], np.float32))
    (found,) = task.decode({"logits": logits}, encoding)
    assert found == [{"entity_group": "A", "score": pytest.approx(0.7), "word": "the and", "start": 0, "end": 7}]
    (choice,) = task.choices({"logits": logits}, encoding)
    assert choice.classes.tolist() == [[1], [1]]
    assert choice.margins == pytest.approx([np.log(4), np.log(1.5)])


@ANY
@given(text=st.text(max_size=60), seed=st.integers(0, 99))
def test_offsets_slice_back_to_the_text(tokenizer, text, seed):
    task = tagger()
    encoding = task.encode(tokenizer, [text])
    shape = (1, int(encoding.lengths[0]), len(TAGS))
    (found,) = task.decode({"logits": np.random.default_rng(seed).normal(size=shape).astype(np.float32)}, encoding)
    whole = encoding.texts[0]
    for entity in found:
        inside = whole[entity["start"] : entity["end"]]
        assert inside == inside.strip() != ""
        assert 0 <= entity["start"] < entity["end"] <= len(whole)
    assert [e["start"] for e in found] == sorted(e["start"] for e in found)


def test_a_row_of_words_and_one_of_a_text():
    by_tag = tagger().example({"tokens": ["The", "river", "had"], "ner_tags": [0, "B-LOC", 4]})
    by_span = tagger().example({"text": "The river had", "entities": [{"start": 4, "end": 13, "label": "LOC"}]})
    assert by_tag.item == by_span.item == "The river had"
    assert by_tag.label.spans == by_span.label.spans == {(4, 13, "LOC")}
    assert by_tag.label.words == ((0, 3), (4, 9), (10, 13))


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "entities": [{"start": 0, "end": 2, "label": "LOC"}]},
        {"text": "a", "entities": [{"start": 0, "end": 1, "label": "B-LOC"}]},
        {"text": "a", "entities": ["LOC"]},
        {"text": "a", "entities": "LOC"},
        {"tokens": ["a", "b"], "tags": [0]},
        {"tokens": ["a"], "tags": [9]},
        {"tokens": ["a"], "tags": [True]},
        {"tokens": [5], "tags": [0]},
        {"text": "a"},
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(row):
    with pytest.raises(DataError):
        tagger().example(row)


def entity(start, end, name="LOC"):
    return Entity(entity_group=name, score=1.0, word="", start=start, end=end)


def test_f1_counts_exact_spans():
    spans = [{"start": 0, "end": 3, "label": "LOC"}, {"start": 4, "end": 9, "label": "PER"}]
    example = tagger().example({"text": "The river", "entities": spans})
    assert tagger().score([[entity(0, 3), entity(4, 9, "PER")]], [example]) == 100
    assert tagger().score([[entity(0, 3)]], [example]) == pytest.approx(200 / 3)
    assert tagger().score([[entity(0, 3), entity(4, 8, "PER"), entity(4, 9)]], [example]) == pytest.approx(40)
    assert tagger().score([[]], [example]) == 0


def test_a_word_counts_by_its_first_piece():
    example = tagger().example({"tokens": ["U.S.", "and", "Rome"], "tags": ["B-LOC", "O", "B-LOC"]})
    assert tagger().score([[entity(0, 1), entity(9, 13)]], [example]) == 100
    assert tagger().score([[entity(2, 3), entity(9, 13)]], [example]) == pytest.approx(200 / 3)


def test_no_entity_anywhere_is_no_number():
    with pytest.raises(DataError, match="f1 over 1 rows is not a number"):
        tagger().metric_of([[]], [tagger().example({"text": "a", "entities": []})])


def test_other_logits_than_labels_are_an_error_of_ours(tokenizer):
    with pytest.raises(EngineError, match="the labels are 6"):
        tagger().decode({"logits": np.zeros((1, 3, 2), np.float32)}, tagger().encode(tokenizer, ["river"]))


@pytest.mark.parametrize("item", [("a", "b"), 5, None])
def test_entities_of_something_else_than_a_text(tokenizer, item):
    with pytest.raises(EdgewrightError):
        tagger().encode(tokenizer, [item])


# question-answering


def passage(answer, score=1.0):
    return Passage(score=score, start=0, end=0, answer=answer)


def logits_for(encoding, rate):
    """Start and end logits, zeros but for what `rate` gives: {(row, token): (start, end)}."""
    outputs = {name: np.zeros(encoding.feeds["input_ids"].shape, np.float32) for name in asker.outputs}
    for place, values in rate.items():
        for name, value in zip(asker.outputs, values, strict=True):
            outputs[name][place] = value
    return outputs


def test_the_best_passage_lies_in_the_context(tokenizer):
    encoding = asker.encode(tokenizer, [("had?", CONTEXT)])
    sides = encoding.sequences[0]
    first = sides.index(1)
    outputs = logits_for(encoding, {(0, 0): (90, 90), (0, 1): (90, 90), (0, first): (5, 0), (0, first + 1): (0, 5)})
    (found,) = asker.decode(outputs, encoding)
    allowed = 1 + sides.count(1)
    share = np.exp(5 - 90) / (1 + np.exp(5 - 90) + (allowed - 2) * np.exp(-90.0))
    assert found["answer"] == CONTEXT[found["start"] : found["end"]] == "the and"
    assert found["score"] == pytest.approx(share**2, rel=1e-3)


def test_an_end_before_its_start_or_too_far_from_it_is_no_passage(tokenizer):
    encoding = asker.encode(tokenizer, [("?", "a " * 50)])
    first = encoding.sequences[0].index(1)
    backwards = logits_for(encoding, {(0, first + 9): (5, 0), (0, first + 3): (0, 5)})
    too_far = logits_for(encoding, {(0, first): (5, 0), (0, first + 30): (0, 5)})
    (one,), (other,) = asker.decode(backwards, encoding), asker.decode(too_far, encoding)
    assert one["start"] == 18 or one["end"] == 7
    assert other["end"] - other["start"] < 60


def test_windows_cover_every_token_and_the_best_one_of_them_wins(tokenizer):
    context = " ".join(f"river {number}" for number in range(80))
    encoding = asker.encode(tokenizer, [("good?", context), ("a pity", "soup")])
    rows = encoding.items.count(0)
    assert rows > 2
    assert encoding.items == (0,) * rows + (1,)
    for number in (0, 40, 79):
        start = context.index(f"river {number}") + 6
        at, token = next(
            (at, offsets.index(offset))
            for at, offsets in enumerate(encoding.offsets[:rows])
            for offset in offsets
            if offset[0] == start and encoding.sequences[at][offsets.index(offset)] == 1
        )
        found, _ = asker.decode(logits_for(encoding, {(at, token): (7, 7)}), encoding)
        assert found["start"] == start


@ANY
@given(question=st.text(max_size=80), context=st.text(min_size=1, max_size=300), most=st.integers(8, 40))
def test_windows_keep_to_their_length_and_lose_nothing(home, question, context, most):
    tokenizer = Tokenizer(home, most)
    encoding = tokenizer.windows([(question, context)])
    assert max(encoding.lengths) <= most
    seen = {
        offset
        for offsets, sides in zip(encoding.offsets, encoding.sequences, strict=True)
        for offset, side in zip(offsets, sides, strict=True)
        if side == 1
    }
    whole = Tokenizer(home, 10_000).encode([context])
    sides = whole.sequences[0]
    assert seen == {offset for offset, side in zip(whole.offsets[0], sides, strict=True) if side == 0}
    again = tokenizer.encode(["the river " * 100])
    assert again.lengths.tolist() == [most]


def test_each_window_is_a_run_of_its_own(tokenizer):
    context, shapes = "the river had risen " * 40, []

    def run(feeds):
        shapes.append(feeds["input_ids"].shape)
        assert feeds["attention_mask"].all()
        return {name: feeds["input_ids"].astype(np.float32) for name in asker.outputs}

    asker.answer(run, tokenizer, [("who?", context)])
    assert len(shapes) > 2
    assert {shape[0] for shape in shapes} == {1}
    assert shapes[0] == (1, 64)


@pytest.mark.parametrize("context", ["", "  "])
def test_a_context_without_a_token_has_the_empty_passage(tokenizer, context):
    encoding = asker.encode(tokenizer, [("who?", context)])
    outputs = logits_for(encoding, {})
    assert asker.decode(outputs, encoding) == [passage("", 0.0)]
    assert asker.choices(outputs, encoding)[0].classes.tolist() == [[0, 0]]


def test_the_margin_is_the_distance_from_another_passage(tokenizer):
    encoding = asker.encode(tokenizer, [("?", "and soup")])
    first = encoding.sequences[0].index(1)
    (choice,) = asker.choices(logits_for(encoding, {(0, first): (3, 2)}), encoding)
    assert choice.classes.tolist() == [[0, 3]]
    assert choice.margins.tolist() == [2]


def test_the_order_in_which_an_engine_gives_its_outputs_is_its_own(tokenizer):
    encoding = asker.encode(tokenizer, [("the night", CONTEXT)])
    shape = encoding.feeds["input_ids"].shape
    rng = np.random.default_rng(0)
    outputs = {name: rng.normal(size=shape).astype(np.float32) for name in asker.outputs}
    turned = dict(reversed(outputs.items()))
    assert asker.decode(turned, encoding) == asker.decode(outputs, encoding)
    assert np.array_equal(asker.reduce(turned, encoding)[0], asker.reduce(outputs, encoding)[0])


def test_a_question_alone_is_refused(tokenizer):
    with pytest.raises(DataError, match="a question needs its context"):
        asker.encode(tokenizer, ["who?"])


def test_a_window_too_small_for_a_pair(home):
    with pytest.raises(EdgewrightError, match="no room"):
        Tokenizer(home, 3).windows([("who?", "me")])


@pytest.mark.parametrize(
    ("null", "threshold", "answer"), [(11, None, ""), (9, None, "the and"), (11, 1.5, "the and"), (9, -1.5, "")]
)
def test_no_answer_is_one_where_it_is_rated_above_the_best(tokenizer, null, threshold, answer):
    encoding = asker.encode(tokenizer, [("had?", CONTEXT)])
    first = encoding.sequences[0].index(1)
    outputs = logits_for(encoding, {(0, 0): (null, 0), (0, first): (5, 0), (0, first + 1): (0, 5)})
    task = asker.asking(handle_impossible_answer=True, null_threshold=threshold)
    (found,) = task.decode(outputs, encoding)
    assert found["answer"] == answer
    assert (found["start"], found["end"]) == ((0, 0) if not answer else (0, 7))
    assert asker.decode(outputs, encoding)[0]["answer"] == "the and"
    (several,) = task.asking(top_k=3).decode(outputs, encoding)
    assert (several[0], len(several)) == (found, 3)
    (every,) = task.asking(top_k=None).decode(outputs, encoding)
    assert [one["answer"] for one in every].count("") == 1


def test_the_window_that_wants_no_answer_least_decides(tokenizer):
    context = " ".join(f"river {number}" for number in range(80))
    encoding = asker.encode(tokenizer, [("good?", context)])
    assert len(encoding.offsets) > 2
    everywhere = {(at, 0): (30, 30) for at in range(len(encoding.offsets))}
    task = asker.asking(handle_impossible_answer=True)
    assert task.decode(logits_for(encoding, everywhere), encoding)[0]["answer"] == ""
    (found,) = task.decode(logits_for(encoding, {**everywhere, (1, 0): (-5, -5)}), encoding)
    assert found["answer"] != ""


def test_the_longest_answer_can_be_said(tokenizer):
    encoding = asker.encode(tokenizer, [("had?", CONTEXT)])
    first = encoding.sequences[0].index(1)
    outputs = logits_for(encoding, {(0, first): (9, 0), (0, first + 4): (0, 9)})
    begin, end = encoding.offsets[0][first][0], encoding.offsets[0][first + 4][1]
    assert asker.decode(outputs, encoding)[0]["answer"] == CONTEXT[begin:end]
    assert len(asker.asking(max_answer_len=3).decode(outputs, encoding)[0]["answer"].split()) <= 3


def test_metrics_of_questions_that_may_have_no_answer(tokenizer):
    """Three questions, the last without an answer; no answer is rated above the best passage by 1, -2 and 3."""
    examples = [asker.example({"question": "q", "context": "c", "answers": a}) for a in (["river"], ["soup"], [])]
    task = asker.variant("best-f1")
    said = [("river", 1.0), ("soup", -2.0), ("night", 3.0)]
    one, half = np.ones((1, 3)), np.array([[1.0, 1.0, 0.0]])
    for metric, values in {"best-f1": (100, 100), "best-exact-match": (100, 100), "best-f1-threshold": (2, 2)}.items():
        measured = task.measured(metric, said, examples)
        assert [measured(weights)[0] for weights in (one, half)] == pytest.approx(values)
    assert asker.variant("squad2-f1").asked.handle_impossible_answer
    assert asker.variant("f1") is asker
    right = [passage("river"), passage(""), passage("")]
    assert asker.measured("squad2-exact-match", right, examples)(one)[0] == pytest.approx(200 / 3)
    encoding = asker.encode(tokenizer, [("had?", "soup")])
    outputs = logits_for(encoding, {(0, 0): (3, 1)})
    ((text, near),) = task.decode(outputs, encoding)
    assert (text, near) == ("soup", 4.0)


@pytest.mark.parametrize(
    ("answer", "gold", "f1"),
    [
        ("the Denver Broncos!", ["Denver Broncos"], 1),
        ("Broncos", ["Denver Broncos", "the Broncos of Denver"], 2 / 3),
        ("Panthers", ["Denver Broncos"], 0),
        ("", [], 1),
        ("Broncos", [], 0),
        ("a", ["the"], 1),
        ("new new york", ["new york"], 0.8),
    ],
)
def test_f1_is_squads_own(answer, gold, f1):
    example = asker.example({"question": "q", "context": "c", "answers": {"text": gold}})
    assert asker.score([passage(answer)], [example]) == pytest.approx(100 * f1)


@pytest.mark.parametrize("given", ["a", ["a"], {"text": ["a"]}, [{"text": "a", "answer_start": 0}]])
def test_answers_in_all_their_forms(given):
    assert asker.example({"question": "q", "context": "c", "answers": given}).label[0].text == "a"


@pytest.mark.parametrize(("starts", "count"), [([0], "1"), ([0, 1, 2], "3"), (5, "no list of")])
def test_no_answer_is_dropped_for_want_of_its_place(starts, count):
    answers = {"text": ["a", "b"], "answer_start": starts}
    with pytest.raises(DataError, match=f"the row has 2 answers and {count} places where they start"):
        asker.example({"question": "q", "context": "a b", "answers": answers})


def test_a_file_of_squad(tmp_path):
    asked = [{"question": "who?", "answers": [{"text": "me", "answer_start": 0}], "id": "1"}, {"question": "why?"}]
    tree = {"data": [{"paragraphs": [{"context": "me", "qas": asked[:1]}, {"context": "you", "qas": asked[:1]}]}]}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(tree))
    assert [e.item for e in data.examples(path, asker)] == [("who?", "me"), ("who?", "you")]
    assert data.texts(path) == [("who?", "me"), ("who?", "you")]
    for broken in ("{", '{"data": [{"paragraphs": 5}]}'):
        path.write_text(broken)
        with pytest.raises(DataError, match="not a file of SQuAD"):
            data.examples(path, asker)


@pytest.mark.shared_data
def test_squads_own_file_is_read(shared):
    found = data.examples(shared / "squad/dev-half-v1.1.json", asker)
    assert len(found) == 4961
    assert all(example.item[1][answer.start :].startswith(answer.text) for example in found for answer in example.label)


# fill-mask


def test_fillings_are_the_likeliest_tokens_best_first(tokenizer):
    encoding = filler.encode(tokenizer, ["the [MASK] and", "[MASK] and [MASK]"])
    vocabulary = tokenizer.largest_id + 1
    logits = np.zeros((2, encoding.feeds["input_ids"].shape[1], vocabulary), np.float32)
    river, soup = (tokenizer.encode([word]).feeds["input_ids"][0, 1] for word in ("the", "and"))
    logits[0, 2, river], logits[0, 2, soup] = 5, 4
    logits[1, 3, soup] = 6
    logits[0, 1] = np.nan  # of a token that no one asks for
    outputs = picked({"logits": logits}, encoding.feeds)
    assert outputs["logits"].shape == (3, vocabulary)
    one, two = filler.decode(outputs, encoding)
    assert [len(mask) for mask in (one, *two)] == [5, 5, 5]
    total = np.exp(5) + np.exp(4) + vocabulary - 2
    score = pytest.approx(np.exp(5) / total, rel=1e-5)
    assert one[0] == {"score": score, "token": river, "token_str": "the", "sequence": "the the and"}
    assert two[1][0]["token_str"] == tokenizer.decode([soup])
    assert two[1][0]["sequence"].startswith("[CLS] [MASK] and ")
    few = filler.asking(top_k=2).decode(outputs, encoding)
    assert few == [one[:2], [mask[:2] for mask in two]]
    assert [choice.classes.shape for choice in filler.choices(outputs, encoding)] == [(1, 1), (2, 1)]
    assert [row.shape for row in filler.reduce(outputs, encoding)] == [(1, vocabulary), (2, vocabulary)]


@pytest.mark.parametrize("text", ["the river", "", "river " * 100 + "[MASK]", "<mask>"])
def test_a_text_without_a_mask_is_refused_and_the_mask_is_named(tokenizer, text):
    with pytest.raises(DataError, match=r"has no \[MASK\] within 64 tokens; write \[MASK\]"):
        filler.encode(tokenizer, [text])


@ANY
@given(st.text(max_size=200).filter(lambda text: "[MASK]" not in text))
def test_any_text_becomes_an_item_with_one_mask(tokenizer, text):
    item = filler.item(text, tokenizer)
    assert item.count("[MASK]") == 1
    assert len(item) - len("[MASK]") <= len(text)


def test_the_share_of_right_masks():
    rows = [{"text": "a [MASK]", "label": "river"}, {"text": "[MASK] [MASK]", "label": ["a", " pity "]}]
    examples = [filler.example(row) for row in rows]
    one, *two = ([Filling(score=1.0, token=0, token_str=word, sequence="")] for word in ("river", "the", "pity"))
    answers = [one, two]
    assert filler.score(answers, examples) == pytest.approx(200 / 3)
    with pytest.raises(DataError, match="1 masks and 2 labels"):
        filler.score([answers[0], answers[0]], examples)


# what they share


@pytest.mark.parametrize("task", [tagger(), asker, filler, TextClassification(Settings(max_length=64))])
def test_every_gate_text_has_a_case(tokenizer, task):
    cases = proof_cases.cases(task, tokenizer)
    assert {case.name for case in cases} >= {"short", "long", "one token", "padded batch", "emoji", "other scripts"}
    assert any(len(case.items) > 1 for case in cases)
    assert max(case.encoding.lengths.max() for case in cases) == 64
    assert any(len(case.encoding.offsets) > 1 and len(case.items) == 1 for case in cases) == (task is asker)


def test_padding_counts_in_no_comparison(tokenizer):
    encoding = asker.encode(tokenizer, [("who?", "me"), ("who?", "me and the river")])
    outputs = {name: np.ones((2, encoding.feeds["input_ids"].shape[1]), np.float32) for name in asker.outputs}
    lengths = encoding.lengths.tolist()
    assert [[array.shape for array in row] for row in asker.rows(outputs, encoding)] == [[(n,), (n,)] for n in lengths]


@given(st.integers(1, 5000))
def test_a_sample_is_small_and_spread(size):
    kept = golden.sample(np.arange(size).reshape(1, -1))
    assert len(kept) == min(size, 1024)
    assert kept[0] == 0
    assert size - kept[-1] <= size / 1024 + 1
    assert len(set(kept.tolist())) == len(kept)


def test_pairs_of_a_classifier(tmp_path):
    task = TextClassification(Settings(max_length=64, labels=("no", "yes")))
    for names in (("sentence1", "sentence2"), ("text", "text_pair"), ("premise", "hypothesis")):
        assert task.example({names[0]: "a", names[1]: "b", "label": 1}).item == ("a", "b")
    assert task.example({"text": "a", "text_pair": None, "label": 1}).item == "a"
    path = tmp_path / "in.jsonl"
    path.write_text('{"question": "q", "context": "c"}\n{"tokens": ["a", "b"]}\n')
    assert list(data.items(path)) == [{"text": "q", "text_pair": "c"}, "a b"]
