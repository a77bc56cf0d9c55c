"""A classifier whose last layer computes one row answers as it did with all of them."""

import copy

import pytest

pytest.importorskip("transformers")
import torch
import transformers
from tiny import ARCHITECTURES, SIZES, batch

from edgewright.converters._model.eager import Eager, _inputs, run
from edgewright.converters._model.last_layer import cut
from edgewright.measure.roofline import encoder_macs
from edgewright.model.config import FIRST_TOKEN

KINDS = ("Bert", "Camembert", "DistilBert", "Electra", "Roberta", "XLMRoberta")
SEGMENTS = {"type_vocab_size": 1, "pad_token_id": 1}


def model(kind, head="SequenceClassification"):
    torch.manual_seed(7)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **ARCHITECTURES.get(kind, SEGMENTS)})
    config._attn_implementation = "eager"
    made = getattr(transformers, f"{kind}For{head}")(config).eval()
    for parameter in made.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.15)
    return made


def answers(one, lengths):
    return run(Eager(one, _inputs(one), ("logits",)), batch(lengths, seed=3))["logits"]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_are_the_same(kind, attention):
    whole = model(kind)
    short = copy.deepcopy(whole)
    assert cut(short, "text-classification")
    short.set_attn_implementation(attention)
    assert list(short.state_dict()) == list(whole.state_dict())
    for lengths in ([1], [64], [12, 3, 1], [5, 5]):
        assert answers(short, lengths) == pytest.approx(answers(whole, lengths), abs=2e-6)


def test_every_family_that_is_said_to_be_cut_is_tried():
    assert {model(kind).config.model_type for kind in KINDS} == set(FIRST_TOKEN)


def test_the_last_layer_has_one_row():
    short, rows = model("Bert"), []
    cut(short, "text-classification")
    for layer in short.bert.encoder.layer:
        layer.output.register_forward_hook(lambda *given: rows.append(given[-1].shape[1]))
    answers(short, [9])
    assert rows == [9, 1]


@pytest.mark.parametrize("kind", ["Bert", "DistilBert"])
def test_the_work_is_what_the_roofline_counts(kind):
    short, work = model(kind), []
    cut(short, "text-classification")
    for name, part in short.named_modules():
        if isinstance(part, torch.nn.Linear) and ".layer." in name:
            part.register_forward_hook(lambda m, _, out: work.append(out.numel() * m.in_features))
    answers(short, [33])
    assert sum(work) == encoder_macs(short.config.to_dict() | {"architectures": [type(short).__name__]}, 33)[0]


@pytest.mark.parametrize(("kind", "head", "task"), [
    ("Bert", "TokenClassification", "token-classification"), ("Bert", "QuestionAnswering", "question-answering"),
    ("Albert", "SequenceClassification", "text-classification"),
    ("MPNet", "SequenceClassification", "text-classification"),
])  # fmt: skip
def test_a_head_that_reads_more_and_other_families_stay_as_they_are(kind, head, task):
    assert not cut(model(kind, head), task)
