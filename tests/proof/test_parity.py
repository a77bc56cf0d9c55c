import dataclasses
import json
import math

import numpy as np
import pytest

from edgewright.bundle.manifest import Parity, Score, Settings, decode, encode
from edgewright.errors import EdgewrightError
from edgewright.proof import cases
from edgewright.proof.cases import Case
from edgewright.proof.limits import LIMITS, Limit
from edgewright.proof.parity import measure, parity_failure, score_failure
from edgewright.statistics.signal import rms
from edgewright.tasks.feature_extraction import FeatureExtraction
from edgewright.tasks.text_classification import TextClassification
from edgewright.text.encoding import Encoding
from edgewright.text.tokenizer import Tokenizer

FP32 = LIMITS["fp32"]
CLASSIFIER = TextClassification(Settings(max_length=8, labels=("no", "yes")))
SEVERAL = TextClassification(Settings(max_length=8, labels=("a", "b", "c"), problem="multi_label"))
EXTRACTOR = FeatureExtraction(Settings(max_length=8))


def case(name, mask):
    mask = np.array(mask, dtype=np.int64)
    return Case(name, ("text",) * len(mask), Encoding({"attention_mask": mask}, ((),) * len(mask)))


GATE = [case("short", [[1, 1, 1]]), case("short", [[1, 1]]), case("batch", [[1, 1, 1], [1, 1, 0]])]


def logits(*batches):
    return [{"logits": np.array(batch, dtype=np.float32)} for batch in batches]


REFERENCE = logits([[3.0, -3.0]], [[-2.0, 2.0]], [[4.0, -4.0], [-1.0, 1.0]])


def changed(change):
    return [{"logits": change(batch["logits"].copy())} for batch in REFERENCE]


def compare(outputs, limit=FP32, task=CLASSIFIER, gate=GATE, reference=REFERENCE):
    """The parity, and the first broken limit or None."""
    parity = measure(task, gate, reference, outputs, limit)
    return parity, parity_failure(parity, rms(reference), limit)


def test_equal_outputs_are_perfect():
    parity, failed = compare(REFERENCE)
    assert parity == Parity(
        texts=4, max_abs=0.0, mean_abs=0.0, sqnr_db=200.0, cosine=1.0, top1=1.0, worst_case=parity.worst_case
    )
    assert failed is None


def test_every_number_by_hand():
    outputs = logits([[3.0, -3.0]], [[-2.0, 2.5]], [[4.0, -4.0], [-1.0, 1.0]])
    parity, failed = compare(outputs)
    signal, noise = 2 * (9 + 4 + 16 + 1), 0.25
    want, got = (3, -3, -2, 2), (3, -3, -2, 2.5)
    cosine = np.dot(want, got) / np.linalg.norm(want) / np.linalg.norm(got)
    assert (parity.max_abs, parity.mean_abs) == (0.5, 0.0625)
    assert parity.sqnr_db == pytest.approx(10 * math.log10(signal / noise), rel=1e-3)
    assert parity.cosine == pytest.approx(cosine, rel=1e-6)
    assert (parity.top1, parity.worst_case) == (1.0, "short")
    assert failed.startswith("case 'short': max_abs is 0.5, at most 0.00273861 is wanted")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("precision", LIMITS)
def test_one_output_that_is_no_number_fails_at_every_precision(bad, precision):
    outputs = changed(lambda x: x)
    outputs[1]["logits"][0, 0] = bad
    parity, failed = compare(outputs, LIMITS[precision])
    assert failed is not None
    assert (parity.max_abs, parity.sqnr_db, parity.cosine) == (3.403e38, -200.0, 0.0)


# written, and no reader opens the bundle again.
def test_a_kept_record_of_an_output_that_is_no_number_can_be_read_again():
    outputs = changed(lambda x: x)
    outputs[1]["logits"][0, 0] = math.nan
    parity, _ = compare(outputs)
    assert decode(encode(parity), Parity, "parity") == parity


def test_outputs_of_zero_fail():
    parity, failed = compare(changed(lambda x: x * 0))
    assert failed is not None
    assert parity.cosine == 0.0


@pytest.mark.parametrize("precision", LIMITS)
def test_a_transposed_answer_fails(precision):
    assert compare(changed(lambda x: x[:, ::-1]), LIMITS[precision])[1] is not None


def test_outputs_in_the_order_of_another_text_fail():
    assert compare([REFERENCE[1], REFERENCE[0], REFERENCE[2]], LIMITS["int8"])[1] is not None


def test_the_worst_case_is_the_one_with_the_least_cosine():
    outputs = changed(lambda x: x)
    outputs[2]["logits"] += np.float32([[0, 0], [2, 2]])
    parity, failed = compare(outputs)
    assert parity.worst_case == "batch"
    assert failed.startswith("case 'batch'")


@pytest.mark.parametrize(
    ("name", "words"),
    [("max_abs", "max_abs"), ("sqnr_db", "SQNR in dB"), ("cosine", "cosine"), ("top1", "top-1 agreement")],
)
@pytest.mark.parametrize("precision", LIMITS)
def test_every_limit_can_fail_alone(precision, name, words):
    limit = LIMITS[precision]
    good = {"max_abs": 0.0, "sqnr_db": 200.0, "cosine": 1.0, "top1": 1.0}
    bound = getattr(limit, name)
    if math.isinf(bound):
        assert precision in ("int8", "int8-static", "int4")
        assert name == "max_abs"
        return
    for step, fails in ((0, False), (1e-6, True)):
        value = bound * 2 + step if name == "max_abs" else bound - step
        parity = Parity(texts=1, mean_abs=0.0, worst_case="odd", **{**good, name: value})
        failed = parity_failure(parity, 2.0, limit)
        assert (failed is not None) == fails
        assert not fails or failed.startswith(f"case 'odd': {words} is {value:.6g}, at ")


@pytest.mark.parametrize("name", ["max_abs", "sqnr_db", "cosine", "top1"])
def test_nan_passes_no_limit(name):
    good = {"max_abs": 0.0, "sqnr_db": 200.0, "cosine": 1.0, "top1": 1.0}
    parity = Parity(texts=1, mean_abs=0.0, worst_case="odd", **{**good, name: math.nan})
    assert parity_failure(parity, 1.0, FP32) is not None


def test_a_task_without_classes_has_no_agreement():
    hidden = np.random.default_rng(1).normal(size=(1, 3, 4)).astype(np.float32)
    reference = [{"last_hidden_state": hidden}]
    parity, failed = compare(reference, task=EXTRACTOR, gate=[case("one", [[1, 1, 1]])], reference=reference)
    assert parity.top1 is None
    assert failed is None


def test_padding_is_ignored():
    hidden = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    gate, reference = [case("batch", [[1, 1, 1], [1, 0, 0]])], [{"last_hidden_state": hidden}]
    spoilt = hidden.copy()
    spoilt[1, 1:] = np.nan
    parity, failed = compare([{"last_hidden_state": spoilt}], task=EXTRACTOR, gate=gate, reference=reference)
    assert failed is None
    assert (parity.sqnr_db, parity.texts) == (200.0, 2)
    spoilt[1, 0] += 1
    assert compare([{"last_hidden_state": spoilt}], task=EXTRACTOR, gate=gate, reference=reference)[1] is not None


def test_logits_are_not_taken_for_tokens_where_there_are_as_many():
    """A text of two tokens and two labels: the mask of the padded text does not belong to its logits."""
    gate, reference = [case("batch", [[1, 1], [1, 0]])], logits([[3.0, -3.0], [-2.0, 2.0]])
    outputs = logits([[3.0, -3.0], [-2.0, 9.0]])
    assert compare(outputs, gate=gate, reference=reference)[0].max_abs == 7.0


@pytest.mark.parametrize(("gap", "top1"), [(0.01, 1.0), (1.0, 0.75)])
def test_a_tie_may_fall_either_way_and_a_clear_answer_may_not(gap, top1):
    reference = logits([[3.0, -3.0]], [[-2.0, 2.0]], [[4.0, -4.0], [1.0 + gap, 1.0]])
    outputs = logits([[3.0, -3.0]], [[-2.0, 2.0]], [[4.0, -4.0], [1.0, 1.0 + gap]])
    assert compare(outputs, LIMITS["int8"], reference=reference)[0].top1 == top1


def test_one_other_class_fails_the_fp32_gate_by_agreement():
    loose = dataclasses.replace(FP32, max_abs=math.inf, sqnr_db=-math.inf, cosine=-1.0)
    outputs = logits([[3.0, -3.0]], [[-2.0, 2.0]], [[4.0, -4.0], [1.0, -1.0]])
    assert "top-1 agreement is 0.75, at least 1 is wanted" in compare(outputs, loose)[1]


def test_of_several_labels_each_counts():
    gate, reference = [case("one", [[1, 1]])], logits([[8.0, 2.0, -5.0]])
    assert compare(logits([[8.0, 2.0, -5.0]]), task=SEVERAL, gate=gate, reference=reference)[0].top1 == 1.0
    assert compare(logits([[8.0, 2.0, 5.0]]), task=SEVERAL, gate=gate, reference=reference)[0].top1 == 0.0


# -5 to 5 is let pass because two others are equally sure.
def test_of_several_labels_two_equally_sure_ones_are_no_tie():
    gate, reference = [case("one", [[1, 1]])], logits([[8.0, 8.0, -5.0]])
    assert compare(logits([[8.0, 8.0, 5.0]]), task=SEVERAL, gate=gate, reference=reference)[0].top1 == 0.0


def test_of_several_labels_one_at_zero_is_a_tie():
    gate, reference = [case("one", [[1, 1]])], logits([[8.0, 2.0, -1e-6]])
    assert compare(logits([[8.0, 2.0, 1e-6]]), task=SEVERAL, gate=gate, reference=reference)[0].top1 == 1.0


def test_noise_on_a_silent_reference_is_not_perfect():
    reference = changed(lambda x: x * 0)
    assert compare(changed(lambda x: x), reference=reference)[0].sqnr_db < 200


def test_rms_by_hand():
    assert rms([{"a": np.array([3.0, 4.0])}, {"a": np.array([[0.0]]), "b": np.array([5.0])}]) == math.sqrt(50 / 4)


def score(value, reference):
    return Score(metric="accuracy", value=value, n=872, data="dev.tsv", reference=reference)


@pytest.mark.parametrize("precision", LIMITS)
def test_points_of_the_metric_may_be_lost_up_to_the_limit(precision):
    limit = LIMITS[precision]
    assert score_failure(score(90.0, 90.0), limit) is None
    assert score_failure(score(91.0, 90.0), limit) is None
    assert score_failure(score(90.0 - limit.points * 0.99, 90.0), limit) is None
    assert score_failure(score(90.0, None), limit) is None
    words = score_failure(score(80.0, 90.0), limit)
    assert words == (
        "accuracy on dev.tsv is 80.00 %, the eager model's 90.00 %: "
        f"10.00 points lost, at most {limit.points} are allowed"
    )


@pytest.mark.parametrize(("value", "reference"), [(math.nan, 90.0), (90.0, math.nan)])
def test_a_metric_that_is_no_number_fails(value, reference):
    assert score_failure(score(value, reference), FP32) is not None


@pytest.mark.parametrize("outputs", [logits([[3.0]], [[1.0]], [[1.0], [1.0]]), [{"other": np.zeros((1, 2))}] * 3])
def test_outputs_of_another_shape_or_name_are_an_error_of_ours(outputs):
    with pytest.raises(EdgewrightError):
        compare(outputs)


def test_the_limits_are_looser_where_the_precision_is_less():
    assert LIMITS["int8"].sqnr_db < LIMITS["fp32"].sqnr_db
    assert LIMITS["int8"].cosine < LIMITS["fp32"].cosine < 1
    assert all(isinstance(limit, Limit) for limit in LIMITS.values())


def test_the_gate_texts_reach_every_corner(tokenizer_dir):
    tokenizer = Tokenizer(tokenizer_dir, 48)
    found = cases.cases(CLASSIFIER, tokenizer)
    names = {case.name for case in found}
    assert {"short", "long", "one token", "padded batch", "full length", "emoji", "odd"} <= names
    lengths = [int(n) for case in found for n in case.encoding.lengths]
    assert min(lengths) == 2  # the empty text
    assert max(lengths) == 48
    assert sum(lengths.count(n) for n in (2, 48)) < len(lengths)
    (batch,) = [case for case in found if len(case.items) > 1]
    assert batch.encoding.feeds["attention_mask"].min() == 0
    assert all(len(case.items) == len(case.encoding.lengths) for case in found)


def test_the_gate_texts_suit_a_tokenizer_without_special_tokens(tokenizer_dir):
    path = tokenizer_dir / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "post_processor": None}))
    assert cases.cases(CLASSIFIER, Tokenizer(tokenizer_dir, 48))
