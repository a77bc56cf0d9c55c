"""What edgewright makes of a source, held against transformers over whole data sets: token ids, then answers.

Ids: SST-2's dev sentences, the first 5,000 of Tatoeba, the naughty strings, and every code point between `good` and
`bad`, for each family of `tiny_models.py` with the tokenizer's class of that family. Answers: 100 items for each family
and task, asked of a bundle in fp32 and of transformers' pipeline. What is asked for replaces its rows of the record.

.venv/bin/python tools/sources.py DATA [--code-points] [--architecture bert,roberta] [--task fill-mask]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import itertools
import json
import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import tiny_models
import torch
import transformers

from edgewright import build, load
from edgewright.model.source import Source, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
PAGE, RECORD = ROOT / "docs/sources.md", ROOT / "docs/sources.json"
SENTENCES, ASKED, LENGTH = 5000, 100, 128
"""Of Tatoeba for ids; items for each family and task; tokens at which the tiny models cut."""
TOLERANCE = 1e-4
"""Between two scores or two numbers of a vector, in fp32."""
LAST, SURROGATES = 0x110000, range(0xD800, 0xE000)
"""Of Unicode; surrogates are no characters."""
CHUNK = 2000
"""Texts that are encoded at a time."""
LABELS = ["a good film", "the weather", "food"]
"""What texts are sorted into by zero-shot-classification."""
_SENTENCEPIECE = {"<s>": "[CLS]", "</s>": "[SEP]", "<mask>": "[MASK]"}
OWN: dict[str, tuple[str, dict[str, str]]] = {
    "bert": ("BertTokenizer", {}),
    "distilbert": ("DistilBertTokenizer", {}),
    "albert": ("AlbertTokenizer", _SENTENCEPIECE),
    "mobilebert": ("MobileBertTokenizer", {}),
    "roberta": ("RobertaTokenizer", {}),
    "electra": ("ElectraTokenizer", {}),
    "mpnet": ("MPNetTokenizer", {"[CLS]": "<s>", "[SEP]": "</s>", "[PAD]": "<pad>", "[MASK]": "<mask>"}),
    "deberta-v2": ("DebertaV2Tokenizer", {**_SENTENCEPIECE, "<pad>": "[PAD]", "<unk>": "[UNK]"}),
    "xlm-roberta": ("XLMRobertaTokenizer", {}),
    "camembert": ("CamembertTokenizer", {}),
    "convbert": ("ConvBertTokenizer", {}),
    "squeezebert": ("SqueezeBertTokenizer", {}),
    "modernbert": ("PreTrainedTokenizerFast", {}),
}
"""The class that saved the tokenizers of a family, and what it calls the special tokens of `tiny_models.py`."""
UNUSED = {"camembert": ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")}
"""Tokens that a class wants in the vocabulary: they take the place of the last pieces."""


transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # more cost tiny models more than they gain


def data_sets(data: Path) -> dict[str, list[str]]:
    """The texts of each data set, by name; the code points are made when they are asked for."""
    with (data / "sst2/dev.tsv").open(encoding="utf-8", newline="") as file:
        sst2 = [row["sentence"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    with gzip.open(data / "tatoeba/eng-spa.tsv.gz", "rt", encoding="utf-8") as lines:
        tatoeba = [line.split("\t")[1].rstrip("\n") for line in itertools.islice(lines, SENTENCES)]
    naughty = json.loads((data / "strings/naughty-strings.json").read_text(encoding="utf-8"))
    return {"SST-2 dev": sst2, "Tatoeba": tatoeba, "naughty strings": naughty}


def questions(data: Path, count: int) -> list[dict[str, str]]:
    """The first questions of SQuAD's development set, with their contexts, one of each paragraph.

    None is longer than half of a window: those edgewright cuts there, which leaves nothing to compare.
    """
    tree = json.loads((data / "squad/dev-half-v1.1.json").read_text(encoding="utf-8"))
    every = (part for article in tree["data"] for part in article["paragraphs"])
    asked = ({"question": part["qas"][0]["question"].strip(), "context": part["context"]} for part in every)
    short = (one for one in asked if len(one["question"].encode()) < LENGTH // 2)
    return list(itertools.islice(short, count))


def code_points(step: int = 1) -> list[str]:
    """Every code point between two words, or one of `step`."""
    return [f"good{chr(at)}bad" for at in range(0, LAST, step) if at not in SURROGATES]


def make(architecture: str, task: str, out: Path) -> Path:
    """A tiny model whose tokenizer is one of its family's own class, with that class's special tokens."""
    tiny_models.make(architecture, task, out, length=LENGTH)
    named, renamed = OWN[architecture]
    for file in (out / "tokenizer.json", out / "tokenizer_config.json"):
        text = file.read_text(encoding="utf-8")
        for old, new in renamed.items():
            text = text.replace(json.dumps(old), json.dumps(new))
        file.write_text(text, encoding="utf-8")
    spec, unused = json.loads((out / "tokenizer.json").read_text(encoding="utf-8")), UNUSED.get(architecture, ())
    for at, name in enumerate(unused):
        spec["model"]["vocab"][at - len(unused)][0] = name
    (out / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    config = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    (out / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": named}), encoding="utf-8")
    return out


def different(source: Source, texts: Sequence[str]) -> list[str]:
    """The texts of which `AutoTokenizer` makes other ids than we do."""
    theirs = transformers.AutoTokenizer.from_pretrained(str(source.origin), local_files_only=True)
    ours, found = source.tokenizer(), []
    longest = source.settings.max_length
    for chunk in _chunks(texts):
        wanted = theirs(chunk, truncation=True, max_length=longest)["input_ids"]
        encoded = ours.encode(chunk)
        rows = [row[mask.astype(bool)].tolist() for row, mask in _rows(encoded.feeds)]
        found += [text for text, own, other in zip(chunk, rows, wanted, strict=True) if own != other]
    return found


def _rows(feeds: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    return zip(feeds["input_ids"], feeds["attention_mask"], strict=True)


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(texts), CHUNK):
        yield list(texts[at : at + CHUNK])


def items(task: str, texts: Sequence[str], asked: Sequence[dict[str, str]], mask: str) -> list[Any]:
    """What is asked for a task: sentences, with a mask for the middle word, or with others to rank, or questions."""
    if task == "question-answering":
        return list(asked)
    if task == "fill-mask":
        words = [text.split() for text in texts]
        return [" ".join([*one[: len(one) // 2], mask, *one[len(one) // 2 + 1 :]]) for one in words]
    if task == "text-ranking":
        most = len(texts)
        return [
            {"query": " ".join(text.split()[:5]), "texts": [texts[(at + n) % most] for n in range(4)]}
            for at, text in enumerate(texts)
        ]
    return list(texts)


def same(found: Any, wanted: Any) -> bool:
    """Whether answers are equal, but for numbers that differ by less than `TOLERANCE`."""
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[name], wanted[name]) for name in wanted)
    return abs(found - wanted) < TOLERANCE if isinstance(wanted, float | np.floating) else found == wanted


def theirs(directory: Path, task: str, given: Sequence[Any]) -> list[Any]:
    """What transformers answers, by its pipeline of the task; by loops where it has none."""
    if task == "question-answering":
        return [passage(directory, **one)[1] for one in given]
    named = "text-classification" if task == "text-ranking" else task
    return _CALLS[task](transformers.pipeline(named, model=str(directory), dtype="float32", device="cpu"), given)


_CUT = {"truncation": True}
_CALLS: dict[str, Callable[[Any, Sequence[Any]], list[Any]]] = {
    "text-classification": lambda pipe, given: pipe([*given], top_k=None, **_CUT),
    "token-classification": lambda pipe, given: [pipe(one, aggregation_strategy="simple") for one in given],
    "fill-mask": lambda pipe, given: [pipe(one, tokenizer_kwargs=_CUT) for one in given],
    "feature-extraction": lambda pipe, given: [
        np.mean(pipe(one, tokenize_kwargs=_CUT)[0], axis=0).tolist() for one in given
    ],
    "zero-shot-classification": lambda pipe, given: pipe([*given], LABELS),
    "text-ranking": lambda pipe, given: [_ranked(pipe, **one) for one in given],
}
"""How a pipeline is asked, as whoever wants the whole answer would."""


def _ranked(pipe: Any, query: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The sigmoid of each pair's one output, best first, as CrossEncoder.rank of sentence-transformers."""
    pairs = [{"text": query, "text_pair": text} for text in texts]
    scores = [one["score"] for one in pipe(pairs, function_to_apply="sigmoid", truncation=True)]
    order = sorted(range(len(texts)), key=lambda at: -scores[at])
    return [{"corpus_id": at, "score": scores[at], "text": texts[at]} for at in order]


def passage(directory: Path, question: str, context: str, *, length: int = LENGTH) -> tuple[int, str]:
    """How many windows there are and the best passage, in plain loops over those that transformers' tokenizer makes."""
    tokenizer, model = _reader(directory)
    room = length - tokenizer.num_special_tokens_to_add(pair=True)
    room -= len(tokenizer(question, add_special_tokens=False)["input_ids"])
    made = tokenizer(
        question, context, truncation="only_second", max_length=length,
        stride=min(length // 2, 128, room // 2), return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    best: tuple[float, tuple[int, int]] = (-np.inf, (0, 0))
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in made]
    for at in range(len(made["input_ids"])):
        with torch.inference_mode():
            out = model(**{name: torch.tensor([made[name][at]]) for name in names})
        start, end = (logits[0].tolist() for logits in (out.start_logits, out.end_logits))
        inside, offsets = (
            [token for token, side in enumerate(made.sequence_ids(at)) if side == 1],
            made["offset_mapping"][at],
        )
        for i in inside:
            for j in range(i, min(i + 30, inside[-1] + 1)):
                best = max(best, (start[i] + end[j], (offsets[i][0], offsets[j][1])), key=lambda pair: pair[0])
    return len(made["input_ids"]), context[slice(*best[1])].strip()


def _reader(directory: Path, known: dict[Path, Any] = {}) -> Any:  # noqa: B006 - it keeps what was opened
    if directory not in known:
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model = transformers.AutoModelForQuestionAnswering.from_pretrained(directory, dtype=torch.float32).eval()
        known.clear()
        known[directory] = (tokenizer, model)
    return known[directory]


def ours(bundle: Path, task: str, given: Sequence[Any]) -> list[Any]:
    """What the bundle answers in fp32, in the form in which `theirs` gives it."""
    options: dict[str, dict[str, Any]] = {
        "text-classification": {"top_k": None},
        "token-classification": {"aggregation_strategy": "simple"},
        "zero-shot-classification": {"candidate_labels": LABELS},
    }
    found = load(bundle).asking(**options.get(task, {}))(list(given))
    if task == "question-answering":
        return [one["answer"] for one in found]
    return [one.tolist() for one in found] if task == "feature-extraction" else list(found)


def answered(source: Path, task: str, given: Sequence[Any], scratch: Path) -> list[Any]:
    """The items that a bundle of `source` answers otherwise than transformers; building it passes the build's gate."""
    build(source, out=scratch / "bundle", task=task, formats=("onnx",), precisions=("fp32",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of words that a tokenizer does not mark
        both = zip(given, ours(scratch / "bundle", task, given), theirs(source, task, given), strict=True)
        return [item for item, own, other in both if not same(own, other)]


def row_of(architecture: str, tasks: Sequence[str], data: Path, every: list[str], seen: set[str]) -> dict[str, Any]:
    """The counts of one family: of each set and task how many, and how many differ."""
    texts, asked = data_sets(data), questions(data, ASKED)
    row: dict[str, Any] = {"family": architecture, "tokenizer": OWN[architecture][0], "ids": {}, "answers": {}}
    for task in tasks:
        with tempfile.TemporaryDirectory() as folder:
            model = make(architecture, task, Path(folder, "model"))
            source = open_source(model, task=task)
            given = items(task, texts["SST-2 dev"][:ASKED], asked, _mask(model))
            wrong = answered(model, task, given, Path(folder))
            row["answers"][task] = [len(given), len(wrong)]
            if task == "text-classification":
                row["ids"] = _ids(source, texts, every, seen)
            print(architecture, task, row["answers"][task], row["ids"], *wrong[:2], flush=True)
    return row


def _mask(model: Path) -> str:
    return str(json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))["mask_token"])


def _ids(source: Source, texts: dict[str, list[str]], every: list[str], seen: set[str]) -> dict[str, list[int]]:
    """For each data set how many texts, and how many have other ids; code points once for each tokenizer.json."""
    own = hashlib.sha256((source.directory / "tokenizer.json").read_bytes()).hexdigest()
    sets = texts if own in seen or not every else {**texts, "code points": every}
    seen.add(own)
    return {name: [len(these), len(different(source, these))] for name, these in sets.items()}


def table(record: dict[str, Any]) -> str:
    """The counts as lines of the page."""
    sets, tasks = ("SST-2 dev", "Tatoeba", "naughty strings", "code points"), (*tiny_models.HEADS, *tiny_models.OTHERS)
    lines = [
        f"| family, its tokenizer's class | {' | '.join(sets)} | answers that differ |",
        "|---" * (2 + len(sets)) + "|",
    ]
    for row in record["families"]:
        cells = [_count(row["ids"].get(name)) for name in sets]
        counts = {task: row["answers"][task] for task in tasks if task in row["answers"]}
        asked, wrong = (sum(count[at] for count in counts.values()) for at in (0, 1))
        cells.append(f"{wrong} of {asked:,}, {len(counts)} tasks")
        lines.append(f"| {row['family']}, {row['tokenizer']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _count(pair: list[int] | None) -> str:
    return f"{pair[1]} of {pair[0]:,}" if pair else ""


def written(record: dict[str, Any]) -> str:
    """The page with the table of a record."""
    page = PAGE.read_text(encoding="utf-8")
    return re.sub(r"(?<=\n\n)\| family, .*?\n(?=\n|\Z)", lambda _: table(record) + "\n", page, count=1, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="where sst2, tatoeba, squad and strings lie")
    parser.add_argument(
        "--out", type=Path, default=RECORD, help="the record; that of docs/ puts its table into docs/sources.md"
    )
    parser.add_argument("--code-points", action="store_true", help="all of Unicode too: minutes for each tokenizer")
    parser.add_argument("--architecture", type=lambda given: given.split(","), default=list(tiny_models.ARCHITECTURES))
    tasks = [*tiny_models.HEADS, *tiny_models.OTHERS]
    parser.add_argument("--task", type=lambda given: given.split(","), default=tasks)
    args = parser.parse_args()
    every, seen = code_points() if args.code_points else [], set[str]()
    known = json.loads(args.out.read_text(encoding="utf-8"))["families"] if args.out.is_file() else []
    rows = {row["family"]: row for row in known}
    for architecture in args.architecture:
        row, before = row_of(architecture, args.task, args.data, every, seen), rows.get(architecture, {})
        merged = {name: {**before.get(name, {}), **row[name]} for name in ("ids", "answers")}
        rows[architecture] = {**row, **merged}
        ordered = [rows[name] for name in tiny_models.ARCHITECTURES if name in rows]
        record = {"transformers": transformers.__version__, "families": ordered}
        args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if args.out == RECORD:
        PAGE.write_text(written(record), encoding="utf-8")


if __name__ == "__main__":
    main()
