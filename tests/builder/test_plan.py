"""What a build shall make, and what is refused before any work."""

from types import SimpleNamespace

import pytest

from edgewright.boards.catalogue import named
from edgewright.builder.plan import check_cache, check_shortlist, planned, supported, wanted_of
from edgewright.errors import UnsupportedConversion, UsageError


def test_the_usual_artifacts_are_those_of_onnx():
    assert wanted_of(None, None, None) == {"onnx": ["fp32", "int8"]}
    assert wanted_of(["ort", "onnx"], ["int4"], None) == {"ort": ["int4"], "onnx": ["int4"]}


@pytest.mark.parametrize("given", [([], None), (None, [])])
def test_nothing_is_not_what_is_usual(given):
    with pytest.raises(UsageError, match="no format or no precision was given"):
        wanted_of(*given, None)


@pytest.mark.parametrize("given", [("onnx,ort", None), (None, "int8")])
def test_a_text_is_no_list_of_names(given):
    with pytest.raises(UsageError, match=r"'(onnx,ort|int8)' is a text, and no list of names") as caught:
        wanted_of(*given, None)
    assert caught.value.hint in ("give ['onnx', 'ort']", "give ['int8']")


def test_a_board_says_what_it_runs_best():
    found = wanted_of(None, None, named("raspberry-pi-4"))
    assert found
    assert wanted_of(["onnx"], ["fp32"], named("raspberry-pi-4")) == {"onnx": ["fp32"]}


def test_what_a_format_has_not_is_refused_with_what_it_has():
    with pytest.raises(UnsupportedConversion, match="ort at precision 'fp16' is not supported: ") as caught:
        planned({"ort": ["fp32", "fp16"]}, leave_gaps=False)
    assert caught.value.hint
    ((converter, left),) = planned({"ort": ["fp32", "fp16", "fp32"]}, leave_gaps=True)
    assert (converter.format, left) == ("ort", ["fp32"])


def test_what_a_model_has_not_is_refused_unless_something_is_left():
    source = SimpleNamespace(keras=False, model_type="mobilebert", task="text-classification", architecture="M")
    plan = planned({"tflite": ["fp32"], "onnx": ["fp32"]}, leave_gaps=False)
    with pytest.raises(UnsupportedConversion, match="tflite at fp32 of M is not supported: it reads each token's"):
        supported(plan, source, leave_gaps=False)
    assert [converter.format for converter, _ in supported(plan, source, leave_gaps=True)] == ["onnx"]
    with pytest.raises(UnsupportedConversion):
        supported(plan[:1], source, leave_gaps=True)


def test_a_keras_model_has_one_format():
    source = SimpleNamespace(keras=True, model_type="keras", task="text-classification", architecture="K")
    with pytest.raises(UnsupportedConversion, match="a Keras source converts to tflite only, not to onnx"):
        supported(planned({"onnx": ["fp32"]}, leave_gaps=False), source, leave_gaps=False)


@pytest.mark.parametrize(
    ("task", "cells", "words"),
    [
        ("text-generation", {"onnx": ["fp32", "fp16"]}, "text-generation as onnx fp32 fp16"),
        ("text-generation", {"tflite": ["int8"]}, "text-generation as tflite int8"),
        ("translation", {"onnx": ["int8"]}, "translation as onnx int8"),
    ],
)
def test_an_int8_cache_that_nothing_would_have_is_refused(task, cells, words):
    source = SimpleNamespace(task=task)
    with pytest.raises(UsageError, match=f"nothing of this build has an int8 cache: {words}"):
        check_cache(planned(cells, leave_gaps=False), source)
    plan = planned({"tflite": ["int8"], "onnx": ["fp32", "int4"]}, leave_gaps=False)
    check_cache(plan, SimpleNamespace(task="text-generation"))


def test_a_shortlist_that_nothing_would_have_or_measure_is_refused(tmp_path):
    plan, translator = planned({"onnx": ["int8"]}, leave_gaps=False), SimpleNamespace(task="translation")
    pairs, data = tmp_path / "train.tsv", tmp_path / "dev.tsv"
    pairs.write_text("")
    data.symlink_to(pairs)
    with pytest.raises(UsageError, match="nothing of this build is held to a shortlist: text-generation as onnx"):
        check_shortlist(plan, SimpleNamespace(task="text-generation"), pairs, data)
    with pytest.raises(UsageError, match="held to a shortlist: translation as tflite"):
        check_shortlist(planned({"tflite": ["int8"]}, leave_gaps=False), translator, pairs, data)
    with pytest.raises(UsageError, match="nothing tells what a shortlist costs; give --data"):
        check_shortlist(plan, translator, pairs, None)
    with pytest.raises(UsageError, match=r"train\.tsv would tell what a shortlist that was learnt from it costs"):
        check_shortlist(plan, translator, pairs, data)
    check_shortlist(plan, translator, pairs, tmp_path / "missing.tsv")
