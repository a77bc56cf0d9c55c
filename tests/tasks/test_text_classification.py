import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.bundle.manifest import Settings
from edgewright.errors import DataError, EdgewrightError, UsageError
from edgewright.tasks import Example, Label, check_asked
from edgewright.tasks.text_classification import TextClassification
from edgewright.tasks.text_generation import TextGeneration
from edgewright.text.encoding import Encoding

LABELS = ("negative", "neutral", "positive")
logits = st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3)


def classifier(problem="single_label", labels=LABELS):
    return TextClassification(Settings(max_length=8, labels=labels, problem=problem))


def encoding(mask):
    mask = np.array(mask, dtype=np.int64)
    return Encoding({"attention_mask": mask}, tuple([(0, 0)] * int(n) for n in mask.sum(axis=1)))


def answers(task, rows):
    array = np.array(rows, dtype=np.float32)
    return task.decode({"logits": array}, encoding(np.ones((len(rows), 4))))


def test_what_means_nothing_to_a_task_is_refused():
    writes = TextGeneration(Settings(max_length=8))
    with pytest.raises(UsageError, match="text-classification gives its answer at once: the options of a decoder"):
        check_asked(classifier(), written=({}, None, True))
    with pytest.raises(UsageError, match="text-generation is given texts alone"):
        check_asked(writes, paired=(None, ""))
    check_asked(classifier(), written=({}, None, False), paired=("a question",))
    check_asked(writes, written=({"seed": 1},), paired=(None, None))


@given(logits)
def test_one_label_is_the_best_with_its_softmax(row):
    (label,) = answers(classifier(), [row])
    exact = [math.exp(value - max(row)) for value in row]
    assert label["label"] == LABELS[row.index(max(row))]
    assert label["score"] == pytest.approx(max(exact) / sum(exact), rel=1e-5)
    assert 1 / 3 - 1e-6 <= label["score"] <= 1


def test_a_hand_computed_softmax():
    found = answers(classifier(), [[0.0, math.log(3), 0.0], [1000.0, -1000.0, 0.0]])
    assert [label["label"] for label in found] == ["neutral", "negative"]
    assert [label["score"] for label in found] == pytest.approx([0.6, 1.0])


@given(logits)
def test_several_labels_have_their_sigmoids_best_first(row):
    (best,) = answers(classifier("multi_label"), [row])
    (found,) = answers(classifier("multi_label").asking(top_k=None), [row])
    chances = {name: 1 / (1 + math.exp(-value)) for name, value in zip(LABELS, row, strict=True)}
    assert found[0] == best
    assert {label["label"] for label in found} == set(LABELS)
    assert [label["score"] for label in found] == sorted((label["score"] for label in found), reverse=True)
    assert all(label["score"] == pytest.approx(chances[label["label"]]) for label in found)
    assert answers(classifier("multi_label").asking(top_k=2), [row]) == [found[:2]]


def test_a_regression_gives_its_values_as_they_are():
    assert answers(classifier("regression", ("stars",)), [[4.25]]) == [{"label": "stars", "score": 4.25}]


@pytest.mark.parametrize("function", ["sigmoid", "softmax", "none"])
def test_what_makes_scores_of_logits_can_be_chosen(function):
    (found,) = answers(classifier().asking(function_to_apply=function, top_k=None), [[1.0, 2.0, 3.0]])
    wanted = {
        "sigmoid": [1 / (1 + math.exp(-value)) for value in (3, 2, 1)],
        "softmax": [math.exp(value) / sum(map(math.exp, (1, 2, 3))) for value in (3, 2, 1)],
        "none": [3, 2, 1],
    }[function]
    assert [one["score"] for one in found] == pytest.approx(wanted)


def test_a_text_alone_has_a_list_and_a_pair_has_not():
    label = {"label": "positive", "score": 1.0}
    assert classifier().alone("a text", label) == [label]
    assert classifier().alone(("a text", "another"), label) == label
    assert classifier().alone("a text", [label]) == [label]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top": 3}, "text-classification has no option top; it has top_k, function_to_apply"),
        ({"top_k": -1}, "an option of text-classification cannot be: Expected `int` >= 0"),
        ({"top_k": "3"}, "an option of text-classification cannot be"),
        ({"function_to_apply": "tanh"}, "an option of text-classification cannot be: Invalid enum value 'tanh'"),
    ],
)
def test_an_option_that_cannot_be_is_told(options, words):
    with pytest.raises(UsageError, match=words):
        classifier().asking(**options)


@pytest.mark.parametrize(
    "given", [("a", "b"), ["a", "b"], {"a": "b"}, {"text": 5}, {"text": "a", "text_pair": 5}, 5, None]
)
def test_what_is_no_item_is_told(given):
    with pytest.raises(DataError, match="the item "):
        classifier().taken(given)


@pytest.mark.parametrize("given", ["a", {"text": "a", "text_pair": "b"}])
def test_an_item_is_taken_and_shown(given):
    assert classifier().shown(classifier().taken(given)) == given
    assert classifier().taken({"text": "a"}) == "a"


# `labels=()`, the default, comes here.
@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_more_outputs_than_labels_is_an_error_of_ours(problem):
    with pytest.raises(EdgewrightError):
        answers(classifier(problem, ("only",)), [[1.0, 2.0, 3.0]])


def test_classes_by_problem():
    outputs, given = {"logits": np.array([[1, 5, 2], [-1, 0, 1]], dtype=np.float32)}, encoding([[1], [1]])
    one, several = (classifier(problem).choices(outputs, given) for problem in ("single_label", "multi_label"))
    assert [choice.classes.tolist() for choice in one] == [[[1]], [[2]]]
    assert [choice.classes.tolist() for choice in several] == [[[True, True, True]], [[False, False, True]]]
    assert [choice.margins.tolist() for choice in one] == [[3], [1]]
    assert [choice.margins.tolist() for choice in several] == [[1], [0]]
    assert classifier("regression").choices(outputs, given) is None


@pytest.mark.parametrize("name", ["sentence", "text"])
@pytest.mark.parametrize(
    ("given", "label"), [("positive", 2), ("2", 2), (2, 2), ("0", 0), (" Negative", 0), ("2.0", 2), (1.0, 1)]
)
def test_a_row_is_labelled_by_name_or_number(name, given, label):
    assert classifier().example({name: "fine", "label": given}) == Example("fine", label)


def test_a_name_that_is_a_number_is_a_name():
    assert classifier(labels=("1", "0")).example({"text": "fine", "label": "1"}).label == 0


@pytest.mark.parametrize("label", ["3", 3, -1, "-1", "", "positiv", 1.5, True, "3.0", [1], "99999999999999999999"])
def test_a_label_that_is_out_of_range_is_refused(label):
    with pytest.raises(DataError, match=r"is none of negative, neutral, positive or 0\.\.2"):
        classifier().example({"text": "fine", "label": label})


@pytest.mark.parametrize("given", ["negative,positive", "0,2", [0, 2], ["negative", 2], "positive,0,2"])
def test_a_row_may_have_several_labels(given):
    assert classifier("multi_label").example({"text": "so", "label": given}).label == frozenset({0, 2})


@pytest.mark.parametrize("given", ["", []])
def test_a_row_may_have_no_label(given):
    assert classifier("multi_label").example({"text": "so", "label": given}).label == frozenset()


@pytest.mark.parametrize("given", ["4.5", 4.5, " 4.5 "])
def test_a_regression_row_holds_a_number(given):
    assert classifier("regression", ("stars",)).example({"text": "so", "label": given}).label == 4.5


@pytest.mark.parametrize("given", ["four", ""])
def test_a_regression_row_without_a_number_is_refused(given):
    with pytest.raises(DataError, match="not a number"):
        classifier("regression").example({"text": "so", "label": given})


@pytest.mark.parametrize("given", [[4.5], {"stars": 4}, "nan", "inf"])
def test_a_regression_row_with_something_else_is_refused(given):
    with pytest.raises(DataError):
        classifier("regression").example({"text": "so", "label": given})


@pytest.mark.parametrize("text", [5, 1.5, True])
def test_a_row_whose_text_is_no_text_is_refused(text):
    with pytest.raises(DataError):
        classifier().example({"text": text, "label": 0})


@pytest.mark.parametrize(
    "row", [{}, {"text": "a"}, {"label": 0}, {"text": None, "label": 0}, {"Text": "a", "label": 0}]
)
def test_a_missing_column_is_named_with_those_that_are_there(row):
    with pytest.raises(DataError, match=r"no column (sentence or text|label or labels), found "):
        classifier().example(row)


def test_accuracy_is_the_share_of_right_rows_in_percent():
    rows = answers(classifier(), [[9, 1, 0], [0, 1, 9], [0, 9, 1], [9, 1, 0]])
    assert classifier().score(rows, [Example("", label) for label in (0, 2, 1, 1)]) == 75.0


def test_several_labels_count_when_all_are_right():
    rows = answers(classifier("multi_label").variant("accuracy"), [[9, -1, 2], [-9, -1, -1], [1, 1, 1]])
    labels = [frozenset({0, 2}), frozenset(), frozenset({0, 1})]
    found = classifier("multi_label").score(rows, [Example("", label) for label in labels])
    assert found == pytest.approx(200 / 3)


def test_a_regression_is_scored_by_pearson():
    rows = [[Label(label="stars", score=value)] for value in (1.0, 2.0, 3.0, 4.0)]
    # deviations (-1.5, -.5, .5, 1.5) and (-1, -2, 2, 1): 5 / sqrt(5 * 10)
    found = classifier("regression", ("stars",)).score(rows, [Example("", y) for y in (2.0, 1.0, 5.0, 4.0)])
    assert found == pytest.approx(100 * 5 / math.sqrt(50))


def test_the_metric_of_a_regression_is_not_called_accuracy():
    assert classifier("regression").metric != "accuracy"
    assert classifier().metric == classifier("multi_label").metric == "accuracy"


def test_labels_as_plain_values():
    (answer,) = answers(classifier(), [[0.0, math.log(3), 0.0]])
    assert classifier().record(answer) == [{"label": "neutral", "score": 0.6}]


def test_a_metric_that_is_no_number_is_refused():
    rows, examples = (
        [[Label(label="stars", score=value)] for value in (1.0, 2.0)],
        [Example("a", 3.0), Example("b", 3.0)],
    )
    with pytest.raises(DataError, match="pearson over 2 rows is not a number"):
        classifier("regression", ("stars",)).metric_of(rows, examples)
