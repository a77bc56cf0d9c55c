import numpy as np
import pytest

from edgewright.bundle.manifest import Settings
from edgewright.contracts.engine import Session
from edgewright.errors import BundleError, DataError, EngineError, UsageError
from edgewright.inference.pipeline import Pipeline, load
from edgewright.tasks.text_classification import TextClassification
from edgewright.text.tokenizer import Tokenizer


class CountingSession(Session):
    """An engine in a line: a text is as positive as it is long."""

    inputs = outputs = ()

    def __init__(self):
        self.shapes = []

    def run(self, feeds):
        self.shapes.append(feeds["input_ids"].shape)
        real = feeds["attention_mask"].sum(axis=1)
        return {"logits": np.stack([5 - real, real - 5], axis=1).astype(np.float32)}


@pytest.fixture
def pipeline(tokenizer_dir):
    task = TextClassification(Settings(max_length=16, labels=("short", "long")))
    return Pipeline(None, task, Tokenizer(tokenizer_dir, 16), CountingSession())


def names(answers):
    return [label["label"] for label in answers]


def test_one_item_has_one_answer_and_a_list_has_a_list(pipeline):
    (label,) = pipeline("good")
    assert label["label"] == "short"
    assert set(label) == {"label", "score"}
    assert names(pipeline(["good", "the river had risen in the night"])) == ["short", "long"]
    assert pipeline([]) == []


def test_a_pair_has_names(pipeline):
    pair = {"text": "the river", "text_pair": "had risen"}
    assert pipeline(pair)["label"] == "long"
    assert len(pipeline.session.shapes) == 1
    assert pipeline([pair]) == [pipeline(pair)] == [pipeline(text="the river", text_pair="had risen")]
    assert pipeline.row(pair) == {"text": pair, "answer": [pipeline.task.record(pipeline(pair))[0]]}


@pytest.mark.parametrize(
    "pair", [("the river", "had risen"), [("the river", "had risen")], [["the river", "had risen"]]]
)
def test_a_tuple_of_two_texts_is_no_item(pipeline, pair):
    with pytest.raises(DataError, match=r"is a (tuple|list) of 2, and no item; a pair is \{\"text\": "):
        pipeline(pair)
    assert pipeline.session.shapes == []


def test_options_are_of_one_call_or_of_all(pipeline):
    assert [one["label"] for one in pipeline("good", top_k=None)] == ["short", "long"]
    assert [len(answer) for answer in pipeline(["good", "bad"], top_k=1)] == [1, 1]
    always = pipeline.asking(top_k=2)
    assert [one["label"] for one in always("good")] == ["short", "long"]
    assert [len(answer) for answer in always.stream(["good"])] == [2]
    assert len(pipeline("good")) == 1
    for wrong in ({"tpo_k": 1}, {"top_k": "all"}):
        with pytest.raises(UsageError, match="option"):
            pipeline("good", **wrong)


@pytest.mark.parametrize("call", [((), {}), (("a", "b"), {}), (("a",), {"text": "b"})])
def test_a_call_that_cannot_be_meant(pipeline, call):
    with pytest.raises(UsageError, match="text-classification is asked with"):
        pipeline(*call[0], **call[1])


def test_every_item_is_a_run_of_its_own_without_padding(pipeline):
    pipeline(["good", "the river had risen in the night", "the night " * 50])
    assert [shape[0] for shape in pipeline.session.shapes] == [1, 1, 1]
    assert pipeline.session.shapes[0] == (1, 3)
    assert pipeline.session.shapes[2] == (1, 16)


def test_an_answer_does_not_depend_on_its_neighbours(pipeline):
    texts = ["good", "the night " * 50, "a pity", ""]
    assert [[answer] for answer in pipeline(texts)] == [pipeline(text) for text in texts]


def test_a_stream_is_answered_as_it_comes(pipeline):
    asked = []

    def endless():
        while True:
            asked.append("good")
            yield "good"

    stream = pipeline.stream(endless())
    assert names([next(stream), next(stream)]) == ["short", "short"]
    assert len(asked) == 2


def test_an_artifact_that_is_not_there_is_told_before_an_engine_is_looked_for(bundle_dir):
    with pytest.raises(BundleError, match="has no artifact tflite"):
        load(bundle_dir, format="tflite", engine="nonsense")


def test_an_unknown_engine_is_a_usage_error(bundle_dir):
    with pytest.raises(UsageError, match="unknown engine 'nonsense'"):
        load(bundle_dir, engine="nonsense")


@pytest.mark.parametrize("path", ["onnx/model.onnx", "tokenizer.json"])
def test_a_changed_file_is_never_opened(bundle_dir, path):
    data = (bundle_dir / path).read_bytes()
    (bundle_dir / path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match=f"^{path} has SHA-256"):
        load(bundle_dir)


class GivingSession(CountingSession):
    """An engine that gives some outputs, whatever it is asked."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs_given = outputs

    def run(self, feeds):
        del feeds
        return self.outputs_given


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({}, "gives no output logits, it gives none"),
        ({"other": np.zeros((1, 2))}, "gives no output logits, it gives other"),
        ({"logits": np.zeros((2, 2))}, r"gives logits as float64 \[2, 2\], expected numbers \[1, '...'\]"),
        ({"logits": np.zeros(())}, r"gives logits as float64 \[\]"),
        ({"logits": np.array([["a", "b"]])}, r"gives logits as <U1 \[1, 2\], expected numbers"),
        ({"logits": np.zeros((1, 3))}, r"logits have the shape \(1, 3\), the labels are 2"),
        ({"logits": np.zeros(1)}, "logits have the shape"),
    ],
)
def test_outputs_that_are_not_the_tasks_are_said(pipeline, outputs, words):
    pipeline.session = GivingSession(outputs)
    with pytest.raises(EngineError, match=words):
        pipeline("a text")
