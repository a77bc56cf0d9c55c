"""Every encoder task: against transformers with each kind of tokenizer, and through the command line."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from conftest import ROOT, edgewright, rows
from lighter import first

from edgewright import registry
from edgewright.bundle.bundle import Bundle
from edgewright.errors import DataError
from edgewright.inference.pipeline import Pipeline
from edgewright.model.source import open_source

transformers = pytest.importorskip("transformers")
sys.path.insert(0, str(ROOT / "tools"))
import tiny_models  # noqa: E402
import torch  # noqa: E402
from sources import passage, same  # noqa: E402

torch.set_num_threads(1)  # more cost tiny models more than they gain, and much where others are at work

FAMILIES = ("bert", "roberta", "xlm-roberta")
"""One of each kind of tokenizer: WordPiece, BPE of bytes, Unigram."""
LENGTH = 96
LABELS = {
    "token-classification": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"),
    "text-classification": ("no", "maybe", "yes"),
}
TEXTS = [text for text in tiny_models.texts() if text.strip()]
HUNDRED = [*TEXTS, *(text[: len(text) // 2] for text in TEXTS if len(text.split()) > 3)][:100]
THIRTY = HUNDRED[::3][:30]
"""Where each text is asked of every label."""
RIVER = "The river had risen in the night. Someone brought soup. "


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Make, once, the directory of a tiny model by family and task."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def make(family, task):
        if (family, task) not in made:
            out, labels = root / family / task, LABELS.get(task, ())
            made[family, task] = tiny_models.make(family, task, out, labels=labels, length=LENGTH, std=0.3)
        return made[family, task]

    return make


class EagerSession:
    """The eager model as the engine: what the artifacts' gates are held against."""

    def __init__(self, model):
        self.model = model

    def run(self, feeds):
        from edgewright.converters._model import eager as _eager

        return _eager.run(self.model, feeds)


def eager(directory, task=None):
    from edgewright.converters._model import eager as _eager

    source = open_source(directory, task=task)
    task = registry.load("tasks", source.task)(source.settings)
    return Pipeline(None, task, source.tokenizer(), EagerSession(_eager.load(source.job())))


def theirs(directory, task, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return transformers.pipeline(task, model=str(directory), dtype="float32", **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_are_those_of_transformers(models, family):
    directory = models(family, "text-classification")
    ours, other = eager(directory), theirs(directory, "text-classification")
    pairs = [{"text": text, "text_pair": "Nobody laughed."} for text in HUNDRED[:20]]
    cut = {"truncation": True}
    for options in ({}, {"top_k": None}, {"top_k": 2}, {"function_to_apply": "sigmoid"}):
        assert same(ours(HUNDRED, **options), other(HUNDRED, **cut, **options))
        assert same(ours(HUNDRED[3], **options), other(HUNDRED[3], **cut, **options))
        assert same(ours(pairs, **options), other(pairs, **cut, **options))
    assert same(ours(pairs[0]), other(pairs[0], **cut))


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_scores_of_other_problems_are_those_of_transformers(models, tmp_path, problem):
    directory = Path(shutil.copytree(models("bert", "text-classification"), tmp_path / "model"))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "problem_type": problem}))
    ours, other = eager(directory), theirs(directory, "text-classification")
    for options in ({}, {"top_k": None}):
        assert same(ours(HUNDRED, **options), other(HUNDRED, truncation=True, **options))


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("family", FAMILIES)
def test_entities_are_those_of_transformers(models, family, strategy):
    directory = models(family, "token-classification")
    ours = eager(directory).asking(aggregation_strategy=strategy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the heuristic for words where a tokenizer marks none
        other = theirs(directory, "token-classification", aggregation_strategy=strategy)
        for text in HUNDRED:
            assert same(ours(text), other(text)), text


@pytest.mark.parametrize("family", FAMILIES)
def test_entities_by_default_are_those_of_one_strategy(models, family):
    """Theirs at "first" where the tokenizer marks pieces, else at "simple"; theirs keep white space at their ends."""
    directory = models(family, "token-classification")
    ours = eager(directory)
    strategy = "first" if family == "bert" else "simple"
    # Theirs takes a token for a continuation where it is longer than its characters: Hangul, which BERT takes apart
    for text in (text for text in TEXTS if family != "bert" or not any("가" <= c <= "힣" for c in text)):
        theirs_here = ours(text, aggregation_strategy=strategy)
        wanted = [(e["entity_group"], text[e["start"] : e["end"]].strip(), e["score"]) for e in theirs_here]
        found = [(e["entity_group"], text[e["start"] : e["end"]], e["score"]) for e in ours(text)]
        assert same(found, [entity for entity in wanted if entity[1]]), text


@pytest.mark.parametrize("family", FAMILIES)
def test_fillings_are_those_of_transformers(models, family):
    directory = models(family, "fill-mask")
    ours, other = eager(directory), theirs(directory, "fill-mask")
    mask = ours.tokenizer.mask_token
    texts = [*(ours.task.item(text, ours.tokenizer) for text in HUNDRED), f"a {mask} and {mask}."]
    for text in texts:
        assert same(ours(text), other(text, tokenizer_kwargs={"truncation": True})), text
    assert same(ours(texts[0], top_k=3), other(texts[0], top_k=3))


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_of_the_askers_own_are_those_of_transformers(models, family):
    directory = models(family, "zero-shot-classification")
    ours, other = eager(directory, "zero-shot-classification"), theirs(directory, "zero-shot-classification")
    labels = ["soup", "a river", "the night"]
    for options in ({}, {"multi_label": True}, {"hypothesis_template": "It is about {}."}):
        assert same(ours(THIRTY, labels, **options), other(THIRTY, labels, **options))
    assert same(ours(HUNDRED[0], "soup"), other(HUNDRED[0], "soup"))
    assert same(ours(RIVER * 20, candidate_labels="soup,river"), other(RIVER * 20, candidate_labels="soup,river"))


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_are_those_of_transformers_scores(models, family):
    """Which has no pipeline that ranks: the sigmoid of each pair's one output, as CrossEncoder gives it."""
    directory = models(family, "text-ranking")
    ours, other = eager(directory, "text-ranking"), theirs(directory, "text-classification")
    pairs = [{"text": "Who brought soup?", "text_pair": text} for text in HUNDRED]
    scores = [one["score"] for one in other(pairs, function_to_apply="sigmoid", truncation=True)]
    found = ours("Who brought soup?", HUNDRED)
    assert same([one["score"] for one in found], sorted(scores, reverse=True))
    assert all(
        same(one["score"], scores[one["corpus_id"]]) and one["text"] == HUNDRED[one["corpus_id"]] for one in found
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_passages_are_those_of_the_eager_model(models, family):
    directory = models(family, "question-answering")
    ours = eager(directory)
    contexts = [
        "Nobody laughed.",
        RIVER,
        RIVER * 12,
        "👩‍👩‍👧‍👦 loved it, 🐕 did not 😂",
        "駅から五分、静かで清潔な宿でした。",
    ]
    for context in contexts:
        windows, wanted = passage(directory, "Who brought soup?", context, length=LENGTH)
        found = ours(question="Who brought soup?", context=context)
        assert found["answer"] == context[found["start"] : found["end"]] == wanted
        assert 0 < found["score"] <= 1
        best, *others = ours({"question": "Who brought soup?", "context": context}, top_k=4)
        assert best == found
        assert len({(one["start"], one["end"]) for one in (best, *others)}) == 1 + len(others)
    assert passage(directory, "Who brought soup?", RIVER * 12, length=LENGTH)[0] > 2 >= windows


DATA = {
    "token-classification": [
        {"tokens": ["Nobody", "laughed", "."], "ner_tags": ["B-PER", "O", "O"]},
        {"text": "The river had risen.", "entities": [{"start": 4, "end": 9, "label": "LOC"}]},
    ],
    "question-answering": [
        {
            "question": "Who laughed?",
            "context": "Nobody laughed.",
            "answers": {"text": ["Nobody"], "answer_start": [0]},
        },
        {"question": "Who brought soup?", "context": RIVER * 12, "answers": {"text": ["Someone"]}},
    ],
    "fill-mask": [{"text": "Nobody <mask> .", "label": "laughed"}, {"text": "<mask> soup", "label": "the"}],
    "text-classification": [
        {"premise": "Nobody laughed.", "hypothesis": "It was quiet.", "label": "yes"},
        {"text": "The river had risen.", "label": "no"},
    ],
}


@pytest.mark.parametrize(
    ("family", "task"),
    first(
        1,
        [
            ("xlm-roberta", "question-answering"),
            ("bert", "token-classification"),
            ("roberta", "fill-mask"),
            ("bert", "text-classification"),
        ],
    ),
)
def test_the_command_line(models, tmp_path, family, task):
    source, bundle = models(family, task), tmp_path / "bundle"
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in DATA[task]))
    (built,) = rows("build", source, "--out", bundle, "--precision", "fp32", "--data", path)
    assert built["top1"] == 1
    (verified,) = rows("verify", bundle)
    assert verified["golden"].split()[0] == verified["golden"].split()[2]
    (scored,) = rows("eval", bundle, "--data", path)
    assert scored["score"]["value"] == pytest.approx(built["score"]["value"])
    lines = [json.loads(line) for line in edgewright("run", bundle, "--input", path).splitlines()]
    pipeline = eager(source)
    for line in lines:
        assert strip_scores(line["answer"]) == strip_scores(pipeline.row(line["text"])["answer"])
    timed = rows("bench", bundle, "--input", path, "--tokens", "32", "--runs", "5", "--processes", "1")
    assert [row["tokens"] for row in timed][1:] == [32]
    assert (bundle / "golden.json").stat().st_size < 200_000


def outside(bundle):
    """What the answers of a bundle's source were held against."""
    return Bundle.open(bundle).manifest.source.outside


@pytest.mark.heavy
def test_texts_are_ranked_by_the_command_line(models, tmp_path):
    source, bundle, path = models("bert", "text-ranking"), tmp_path / "bundle", tmp_path / "rows.jsonl"
    row = {"query": "Who brought soup?", "texts": TEXTS[:4], "labels": [0, 0, 1, 0]}
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "labels": [2, 1, 0, 0]}) + "\n")
    asked = ("--task", "text-ranking", "--precision", "fp32", "--data", path)
    (built,) = rows("build", source, "--out", bundle, *asked)
    assert (built["top1"], built["score"]["metric"]) == (1, "ndcg@10")
    assert outside(bundle).startswith("transformers ")
    scored = rows("eval", bundle, "--data", path, "--metric", "ndcg@10,mrr@10")
    assert scored[0]["score"]["value"] == pytest.approx(built["score"]["value"])
    (found,) = rows("run", bundle, *TEXTS[:4], "--query", "Who brought soup?")
    assert same(found["answer"], eager(source, "text-ranking")("Who brought soup?", TEXTS[:4]))
    (first, _) = rows("run", bundle, "--input", path, "--top-k", "2")
    assert first["answer"] == found["answer"][:2]
    assert len(rows("bench", bundle, "--tokens", "32", "--runs", "5", "--processes", "1")) == 1


def test_labels_of_the_askers_own_on_the_command_line(models, tmp_path):
    source, bundle, path = models("bert", "zero-shot-classification"), tmp_path / "bundle", tmp_path / "rows.tsv"
    path.write_text("text\tlabel\nNobody laughed.\tsoup\nThe river had risen.\triver\n")
    asked = ("--task", "zero-shot-classification", "--precision", "fp32", "--data", path)
    (built,) = rows("build", source, "--out", bundle, *asked)
    assert built["top1"] == 1
    assert outside(bundle).startswith("transformers ")
    (scored,) = rows("eval", bundle, "--data", path)
    assert scored["score"]["value"] == pytest.approx(built["score"]["value"])
    (found,) = rows("run", bundle, RIVER, "--candidate-labels", "soup,river", "--multi-label")
    ours = eager(source, "zero-shot-classification")
    assert same(found["answer"], ours(RIVER, ["soup", "river"], multi_label=True))


def test_embeddings_are_cut_and_quantized_on_the_command_line(models, tmp_path):
    source, bundle, path = models("bert", "feature-extraction"), tmp_path / "bundle", tmp_path / "texts.txt"
    path.write_text("\n".join(text.replace("\t", " ") for text in TEXTS))
    rows("build", source, "--out", bundle, "--precision", "fp32")
    (found,) = rows("run", bundle, RIVER, "--truncate-dim", "16", "--quantize", "ubinary")
    assert [type(one) for one in found["answer"]] == [int, int]
    asked = ("eval", bundle, "--data", path, "--metric", "recall@10")
    values = [
        rows(*asked, *more)[0]["score"]["value"] for more in ((), ("--quantize", "int8"), ("--quantize", "binary"))
    ]
    assert values[0] == 100
    assert values[0] >= values[1] > values[2]


def strip_scores(answer):
    """An answer without its probabilities."""
    if isinstance(answer, dict):
        return {key: strip_scores(value) for key, value in answer.items() if key != "score"}
    return [strip_scores(part) for part in answer] if isinstance(answer, list) else answer


def test_what_does_not_fit_a_task_is_said(models):
    with pytest.raises(DataError, match="no <mask> within 96 tokens"):
        eager(models("roberta", "fill-mask"))("Nobody laughed.")
    with pytest.raises(DataError, match="a question needs its context"):
        eager(models("bert", "question-answering"))("Who laughed?")
