import importlib.util
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgewright.bundle.manifest import Settings
from edgewright.errors import DataError, UsageError
from edgewright.statistics import metrics
from edgewright.tasks import Entity, Example, Label, Passage
from edgewright.tasks.question_answering import QuestionAnswering
from edgewright.tasks.text_classification import TextClassification
from edgewright.tasks.token_classification import TokenClassification

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn, which these are compared with, is not installed"
)
classes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40)
values = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30)


def whole(metric, rows):
    return metrics.value(metric, len(rows))


def f1_of(rows, average, kinds=4):
    return whole(metrics.f1(*metrics.counts(*zip(*rows, strict=True), kinds), average), rows)


# hand-computed


def test_accuracy_is_a_mean_in_percent():
    assert whole(metrics.mean([True, False, True, True]), range(4)) == 75


def test_f1_of_the_second_of_two_classes():
    # 3 found of which 2 are right, 4 wanted: 2 * 2 / (3 + 4)
    truth, guess = [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0]
    right, found, wanted = (side[:, 1] for side in metrics.counts(truth, guess, 2))
    assert whole(metrics.f1(right, found, wanted), truth) == pytest.approx(100 * 4 / 7)


def test_macro_f1_leaves_out_what_is_neither_found_nor_wanted():
    rows = [(0, 0), (0, 1), (1, 1)]  # f1 of class 0 is 2/3, of class 1 is 2/3, classes 2 and 3 are not there
    assert f1_of(rows, "macro") == pytest.approx(200 / 3)
    assert f1_of([*rows, (2, 0)], "macro") == pytest.approx(100 * (1 / 2 + 2 / 3 + 0) / 3)


def test_matthews_of_a_table_of_two():
    # tp 6, tn 3, fp 1, fn 2: (18 - 2) / sqrt(7 * 8 * 4 * 5)
    rows = [(1, 1)] * 6 + [(0, 0)] * 3 + [(0, 1)] + [(1, 0)] * 2
    found = whole(metrics.matthews(*zip(*rows, strict=True), 2), rows)
    assert found == pytest.approx(100 * 16 / math.sqrt(1120))


def test_matthews_of_a_constant_is_zero():
    assert whole(metrics.matthews([0, 1, 1], [1, 1, 1], 2), range(3)) == 0


def test_spearman_of_a_published_table():
    # IQ and hours of television a week: rho is -29/165
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert whole(metrics.spearman(iq, hours), iq) == pytest.approx(-2900 / 165)


def test_a_correlation_with_a_constant_is_no_number():
    for metric in (metrics.pearson, metrics.spearman):
        assert math.isnan(whole(metric([0.1, 0.1, 0.1], [1, 2, 3]), range(3)))


def test_a_rate_is_of_sums_and_not_a_mean_of_rates():
    metric = metrics.rate([2.0, 9.0], [4, 2])
    assert metrics.value(metric, 2) == 11 / 6
    assert metric(np.array([[2.0, 0.0], [1.0, 3.0]])).tolist() == [0.5, 2.9]


def test_perplexity_of_a_model_that_guesses_among_eight():
    metric = metrics.perplexity([2 * math.log(8), math.log(8)], [2, 1])
    assert whole(metric, range(2)) == pytest.approx(8)


# identities


@given(classes)
def test_micro_f1_of_single_labels_is_accuracy(rows):
    assert f1_of(rows, "micro") == pytest.approx(100 * np.mean([a == b for a, b in rows]))


@given(classes, st.permutations(range(4)))
def test_matthews_does_not_depend_on_the_names_of_classes(rows, names):
    renamed = [(names[a], names[b]) for a, b in rows]
    one, other = (whole(metrics.matthews(*zip(*some, strict=True), 4), some) for some in (rows, renamed))
    assert one == pytest.approx(other, abs=1e-9)


@given(values, st.integers(1, 9), st.integers(-1000, 1000))
def test_correlations_do_not_depend_on_the_unit(rows, times, more):
    first, second = zip(*rows, strict=True)
    moved = [times * value + more for value in first]
    for metric in (metrics.pearson, metrics.spearman):
        one, other = whole(metric(first, second), rows), whole(metric(moved, second), rows)
        assert one == pytest.approx(other, abs=1e-6, nan_ok=True)


@given(values, st.data())
def test_a_weight_is_so_many_copies_of_a_row(rows, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any))
    first, second = (np.array(side) for side in zip(*rows, strict=True))
    copies = np.repeat(np.arange(len(rows)), weights)
    for make in (metrics.pearson, metrics.spearman, lambda a, b: metrics.matthews(a + 5, b + 5, 11)):
        weighted = make(first, second)(np.array([weights], dtype=float))[0]
        copied = metrics.value(make(first[copies], second[copies]), len(copies))
        assert weighted == pytest.approx(copied, abs=1e-6, nan_ok=True)


@needs_sklearn
@settings(deadline=None, max_examples=60)
@given(classes)
@pytest.mark.slow
def test_classes_as_scikit_learn_scores_them(rows):
    from sklearn.metrics import f1_score, matthews_corrcoef

    truth, guess = zip(*rows, strict=True)
    for average in ("micro", "macro"):
        assert f1_of(rows, average) == pytest.approx(100 * f1_score(truth, guess, average=average, zero_division=0))
    assert whole(metrics.matthews(truth, guess, 4), rows) == pytest.approx(100 * matthews_corrcoef(truth, guess))


# intervals


def test_the_interval_of_a_share_is_the_binomial_one():
    metric = metrics.mean([1] * 80 + [0] * 20)
    low, high = metrics.interval(metrics.draws(metric, 100))
    spread = 1.96 * math.sqrt(0.8 * 0.2 / 100) * 100
    assert (low, high) == (pytest.approx(80 - spread, abs=1.5), pytest.approx(80 + spread, abs=1.5))


def test_the_same_seed_draws_the_same_rows_for_every_metric():
    first, second = metrics.mean([1, 0, 1, 0] * 50), metrics.mean([0, 1, 0, 1] * 50)
    assert metrics.draws(first, 200) + metrics.draws(second, 200) == pytest.approx(np.full(1000, 100.0))
    assert (metrics.draws(first, 200, seed=1) != metrics.draws(first, 200)).any()


def test_draws_in_pieces_are_the_draws_in_one(monkeypatch):
    metric = metrics.mean(np.arange(50) / 50)
    whole_draws = metrics.draws(metric, 50)
    monkeypatch.setattr(metrics, "_MOST_WEIGHTS", 1700)
    assert metrics.draws(metric, 50) == pytest.approx(whole_draws)


def test_an_interval_leaves_out_draws_without_a_value():
    assert metrics.interval([float("nan"), 3.0, 3.0]) == (3.0, 3.0)


# tasks


def classifier(labels=("no", "yes"), problem="single_label"):
    return TextClassification(Settings(max_length=8, labels=labels, problem=problem))


def labelled(task, metric, answers, labels):
    examples = [Example("", label) for label in labels]
    return metrics.value(task.measured(metric, answers, examples), len(examples))


def test_a_task_lists_its_metrics():
    assert classifier().metrics == ("accuracy", "f1-micro", "f1-macro", "matthews", "f1")
    assert "f1" not in classifier(("a", "b", "c")).metrics
    assert classifier(problem="regression").metrics == ("pearson", "spearman")
    with pytest.raises(UsageError, match=r"no metric 'bleu'; choose from accuracy, f1-micro"):
        classifier().variant("bleu")


def test_the_f1_of_a_classifier_is_that_of_its_second_label():
    answers = [Label(label=name, score=0.9) for name in ("yes", "yes", "yes", "no")]
    assert labelled(classifier(), "f1", answers, [1, 1, 0, 1]) == pytest.approx(200 / 3)
    assert labelled(classifier(), "matthews", answers, [1, 1, 0, 1]) == pytest.approx(-100 / 3)


def test_several_labels_are_classes_of_their_own():
    task = classifier(("a", "b", "c"), "multi_label")
    answers = [
        [Label(label=name, score=score) for name, score in zip("abc", row, strict=True)]
        for row in ((0.9, 0.8, 0.1), (0.2, 0.5, 0.4), (0.7, 0.1, 0.0))
    ]
    wanted = [frozenset({0}), frozenset({1}), frozenset({0})]
    assert labelled(task, "accuracy", answers, wanted) == pytest.approx(100 / 3)
    assert labelled(task, "f1-micro", answers, wanted) == pytest.approx(100 * 4 / 6)
    assert labelled(task, "f1-macro", answers, wanted) == pytest.approx(50)  # a 1, b 0, c is not there


def asked(metric, answer, *golds):
    task = QuestionAnswering(Settings(max_length=8))
    example = task.example({"question": "?", "context": ".", "answers": list(golds)})
    return metrics.value(task.measured(metric, [Passage(score=1.0, start=0, end=0, answer=answer)], [example]), 1)


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        ("The  Denver-Broncos!", ["denverbroncos"], 100, 100),
        ("an apple a day", ["apple day"], 100, 100),
        ("theatre", ["atre"], 0, 0),
        ("gold gold", ["gold"], 0, 200 / 3),
        ("in 1999", ["1999", "the year 1999"], 0, 200 / 3),
        ("the", ["a"], 100, 100),
        ("42", ["the"], 0, 0),
        ("42", ["the", "42"], 100, 100),
        ("", [], 100, 100),
        ("something", [], 0, 0),
    ],
)
def test_answers_as_the_script_of_squad_matches_them(answer, golds, exact, f1):
    assert asked("exact-match", answer, *golds) == exact
    assert asked("f1", answer, *golds) == pytest.approx(f1)


def test_entities_by_name():
    task = TokenClassification(Settings(max_length=8, labels=("O", "B-PER", "I-PER", "B-LOC")))
    example = task.example({"tokens": ["Ada", "Bo", "Rome"], "tags": ["B-PER", "B-PER", "B-LOC"]})
    answers = [[Entity(entity_group="PER", score=0.9, word="", start=a, end=b) for a, b in ((0, 3), (4, 6), (7, 11))]]
    micro, macro = (metrics.value(task.measured(name, answers, [example]), 1) for name in ("f1", "f1-macro"))
    assert micro == pytest.approx(100 * 4 / 6)
    assert macro == pytest.approx(100 * (4 / 5 + 0) / 2)


def test_a_metric_that_is_no_number_is_an_error():
    with pytest.raises(DataError, match="pearson over 3 rows is not a number"):
        classifier(problem="regression").checked("pearson", float("nan"), 3)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-4, 4), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12), st.data())
def test_the_best_threshold_is_that_of_all_that_can_be(rows, data):
    near, said, unsaid = (np.array(side, float) for side in zip(*rows, strict=True))
    weights = np.array([data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))], float)
    assume(weights.sum() > 0)

    def at(threshold):
        return 100 * (weights[0] * np.where(near > threshold, unsaid, said)).sum() / weights.sum()

    best, chosen = (metrics.best_threshold(near, said, unsaid, threshold=which)(weights)[0] for which in (False, True))
    assert best == pytest.approx(max(at(threshold) for threshold in np.arange(-6, 6, 0.5)))
    assert at(chosen) == pytest.approx(best)
