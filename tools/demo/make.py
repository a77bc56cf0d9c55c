"""Make the demo model: a two-label sentiment classifier small enough to ship.

    python tools/demo/make.py --data SST2_DIR --minilm MINILM_DIR --work BUILD_DIR --out tools/demo/model

Four steps. The first two are skipped where their result lies in ``--work`` already.

1. teacher: all-MiniLM-L6-v2 fine-tuned on SST-2 train; the best checkpoint on dev is kept. With ``--teacher-only
   --seed 1 --bfloat16 --threads 1`` it gets over 90 % there: a full-size model to convert.
2. answers: the teacher's logits for all train sentences and for variations of them, computed once.
3. student: an ELECTRA encoder cut out of the teacher, then distilled (Hinton et al., arXiv 1503.02531).
4. export: float16 weights, tokenizer and model card, at most ``MAX_BYTES`` together.

``SST2_DIR`` holds ``train.tsv`` and ``dev.tsv`` with the header ``sentence<TAB>label``;
``MINILM_DIR`` is a Hugging Face directory of sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ElectraConfig,
    ElectraForSequenceClassification,
    PreTrainedModel,
    get_linear_schedule_with_warmup,
)

HERE = Path(__file__).parent
MAX_BYTES = 8_000_000
MAX_TOKENS = 128
BATCH = 32
LABELS = {0: "negative", 1: "positive"}
SAMPLE_BATCHES = 64  # train batches looked at when the student is cut out of the teacher

CARD = """\
---
language: en
license: apache-2.0
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: text-classification
tags: [sentiment, distillation]
---

# Demo sentiment classifier

English sentences of at most $tokens tokens, labels 0 `negative` and 1 `positive`. It exists to show and test
deployment to small devices with a model that really works and that a repository can carry. For opinions
that matter take a larger one.

| | SST-2 dev, 872 sentences | `sentences.tsv`, written for this project |
|---|---|---|
| teacher | $teacher_dev % | $teacher_own % |
| this model, computed in float32 | $student_dev % | $student_own % |

The checkpoints of both and this model's shape were chosen on SST-2 dev, so the scores there flatter a little.
Nothing was chosen on `sentences.tsv`.

## What it is

`ElectraForSequenceClassification`, $parameters parameters stored in float16: $pieces word pieces $embedding wide,
$count layers 384 wide with 12 heads and $feed_forward feed-forward neurons. The vocabulary is BERT's, cut to the
special tokens, all single characters and the pieces that SST-2 train uses most.

## How it was made

`tools/demo/make.py` made it, in three steps:

1. all-MiniLM-L6-v2 was fine-tuned on SST-2 train ($teacher_epochs epochs): the teacher.
2. The student took over the teacher's layers $layers with the most important feed-forward neurons, and its word
   embeddings factorised by a singular value decomposition weighted with the teacher's gradients.
3. It was distilled on SST-2 train and on $copies variations of each train sentence, made by swapping words for near
   ones and joining sentences ($epochs epochs, learning rate $learning_rate, temperature $temperature, weight of
   the labels $alpha).

## Licences

The weights and the vocabulary derive from
[all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), Apache-2.0, and are under the same
licence. The training data, SST-2 (Socher et al., EMNLP 2013; GLUE), names no licence and is offered for research
use; none of it is included here.
"""

Loss = Callable[[Tensor, "Batch"], Tensor]


@dataclass(frozen=True)
class Batch:
    """``ids`` and ``mask`` int64 (b, n), ``labels`` int64 (b,), ``teacher`` float32 (b, 2) or None."""

    ids: Tensor
    mask: Tensor
    labels: Tensor
    teacher: Tensor | None


@dataclass(frozen=True)
class Examples:
    """Tokenized sentences in file order; ``pad_id`` fills the short rows of a batch."""

    ids: list[list[int]]
    labels: Tensor
    pad_id: int
    teacher: Tensor | None = None

    def batch(self, rows: list[int]) -> Batch:
        """Pad the given rows to the longest of them."""
        tensors = [torch.tensor(self.ids[row]) for row in rows]
        ids = nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=self.pad_id)
        teacher = None if self.teacher is None else self.teacher[rows]
        return Batch(ids, (ids != self.pad_id).long(), self.labels[rows], teacher)

    def in_order(self) -> Iterator[tuple[list[int], Batch]]:
        """All rows once, shortest first, each batch with its row numbers."""
        order = sorted(range(len(self.ids)), key=lambda row: len(self.ids[row]))
        for start in range(0, len(order), 2 * BATCH):
            rows = order[start : start + 2 * BATCH]
            yield rows, self.batch(rows)

    def shuffled(self, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch in random batches of sentences of about the same length."""
        order = torch.randperm(len(self.ids), generator=generator).tolist()
        pool = 50 * BATCH
        pools = [order[i : i + pool] for i in range(0, len(order), pool)]
        order = [row for rows in pools for row in sorted(rows, key=lambda row: len(self.ids[row]))]
        batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield self.batch(batches[i])


@dataclass(frozen=True)
class Recipe:
    """One run: AdamW, 6 % warm-up, linear decay, gradients clipped at norm 1, products in bfloat16 or not."""

    learning_rate: float
    epochs: float
    evals_per_epoch: int
    seed: int
    bfloat16: bool


@dataclass(frozen=True)
class Cut:
    """What the student takes over from the teacher."""

    layers: list[int]
    embedding: int
    feed_forward: int


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def read_tsv(path: Path) -> tuple[list[str], Tensor]:
    """Sentences and labels int64 (n,) of a file with the header ``sentence<TAB>label``."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["sentence"].strip() for row in rows], torch.tensor([int(row["label"]) for row in rows])


def load_tokenizer(directory: Path) -> Tokenizer:
    """The directory's tokenizer, cutting at ``MAX_TOKENS`` and never padding."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: Tokenizer, sentences: list[str], labels: Tensor, teacher: Tensor | None = None) -> Examples:
    ids = [encoding.ids for encoding in tokenizer.encode_batch(sentences)]
    return Examples(ids, labels, tokenizer.token_to_id("[PAD]"), teacher)


@torch.inference_mode()
def predict(model: PreTrainedModel, examples: Examples, *, bfloat16: bool = False) -> Tensor:
    """Logits float32 (n, 2) in the order of ``examples``."""
    model.eval()
    logits = torch.zeros(len(examples.ids), len(LABELS))
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for rows, batch in examples.in_order():
            logits[rows] = model(input_ids=batch.ids, attention_mask=batch.mask).logits.float()
    return logits


def accuracy_percent(model: PreTrainedModel, examples: Examples) -> float:
    hits = predict(model, examples).argmax(-1) == examples.labels
    return 100 * hits.float().mean().item()


def label_loss(logits: Tensor, batch: Batch) -> Tensor:
    return functional.cross_entropy(logits, batch.labels)


def distillation_loss(temperature: float, alpha: float) -> Loss:
    """``alpha`` times the label loss plus the rest times the softened divergence from the teacher."""

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        soft = functional.kl_div(
            functional.log_softmax(logits / temperature, -1),
            functional.log_softmax(batch.teacher / temperature, -1),
            reduction="batchmean",
            log_target=True,
        )
        return alpha * label_loss(logits, batch) + (1 - alpha) * temperature**2 * soft

    return loss


def parameter_groups(model: nn.Module) -> list[dict[str, object]]:
    """Weight decay for matrices, none for biases and layer norms."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]


def train(model: PreTrainedModel, examples: Examples, dev: Examples, loss: Loss, recipe: Recipe, keep: Path) -> float:
    """Train in place; save the best checkpoint on dev in ``keep`` and return its accuracy in percent."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    per_epoch = -(-len(examples.ids) // BATCH)
    steps = round(recipe.epochs * per_epoch)
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=recipe.learning_rate)
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.06 * steps), steps)
    batches = itertools.chain.from_iterable(examples.shuffled(generator) for _ in itertools.count())
    best, recent = 0.0, []
    for step, batch in enumerate(itertools.islice(batches, steps), 1):
        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits
        value = loss(logits.float(), batch)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent.append(value.item())
        if step % (per_epoch // recipe.evals_per_epoch) == 0 or step == steps:
            score = accuracy_percent(model, dev)
            say(f"step {step}/{steps} loss {sum(recent) / len(recent):.4f} dev {score:.2f} %")
            recent.clear()
            if score > best:
                best = score
                model.save_pretrained(keep)
    return best


def make_teacher(minilm: Path, data: Path, directory: Path, recipe: Recipe) -> None:
    """Fine-tune MiniLM on SST-2 train into ``directory``, a Hugging Face directory."""
    torch.manual_seed(recipe.seed)
    partial = directory.with_name(directory.name + "-partial")
    AutoTokenizer.from_pretrained(minilm, model_max_length=MAX_TOKENS).save_pretrained(partial)
    model = AutoModelForSequenceClassification.from_pretrained(
        minilm, id2label=LABELS, label2id={name: i for i, name in LABELS.items()}
    )
    tokenizer = load_tokenizer(minilm)
    train_set, dev = (encode(tokenizer, *read_tsv(data / name)) for name in ("train.tsv", "dev.tsv"))
    best = train(model, train_set, dev, label_loss, recipe, partial)
    partial.rename(directory)
    say(f"teacher: best dev {best:.2f} %")


def find_neighbours(teacher: PreTrainedModel, tokenizer: Tokenizer, sentences: list[str]) -> dict[str, list[str]]:
    """For each word of ``sentences`` that is one piece: the 15 such words with the nearest embeddings."""
    vocabulary = tokenizer.get_vocab()
    used = dict.fromkeys(word for sentence in sentences for word in sentence.split())
    words = [word for word in used if word in vocabulary and word.isalpha() and len(word) > 1]
    table = teacher.bert.embeddings.word_embeddings.weight.detach()[[vocabulary[word] for word in words]]
    table = functional.normalize(table - table.mean(0), dim=-1)
    nearest = (table @ table.T).topk(16).indices[:, 1:].tolist()
    return {word: [words[i] for i in row] for word, row in zip(words, nearest, strict=True)}


def vary(sentences: list[str], neighbours: dict[str, list[str]], copies: int, seed: int) -> list[str]:
    """New sentences: three in ten joined to another one, then some words replaced by their neighbours.

    A neighbour may say the opposite ("terrific", "terrible"): the teacher labels what comes out. This is the
    data augmentation of TinyBERT (Jiao et al., arXiv 1909.10351) without its language model.
    """
    rng = random.Random(seed)  # noqa: S311 (repeatable on purpose)
    varied = []
    for sentence in sentences * copies:
        text = sentence
        if rng.random() < 0.3:
            text += " " + rng.choice(["", "", "and", "but", ",", "."]) + " " + rng.choice(sentences)
        rate = rng.choice((0.1, 0.3, 0.5))
        words = [
            rng.choice(neighbours[word]) if word in neighbours and rng.random() < rate else word
            for word in text.split()
        ]
        varied.append(" ".join(words))
    return varied


def make_answers(args: argparse.Namespace, teacher: PreTrainedModel, file: Path) -> None:
    """Save a pair: the train sentences with their variations (m), and the teacher's logits float32 (m, 2)."""
    tokenizer = load_tokenizer(args.work / "teacher")
    sentences, _ = read_tsv(args.data / "train.tsv")
    sentences += vary(sentences, find_neighbours(teacher, tokenizer, sentences), args.copies, args.seed)
    say(f"teacher: answers for {len(sentences):,} sentences")
    examples = encode(tokenizer, sentences, torch.zeros(len(sentences)))
    torch.save((sentences, predict(teacher, examples, bfloat16=args.bfloat16)), file)


def choose_pieces(tokenizer: Tokenizer, sentences: list[str], size: int) -> Tensor:
    """The ids to keep, ascending, int64 (size,): special tokens, all single characters, then the most used."""
    special = set(tokenizer.get_added_tokens_decoder())
    single = {i for piece, i in tokenizer.get_vocab().items() if len(piece.removeprefix("##")) == 1}
    always = special | single
    counts = Counter(i for encoding in tokenizer.encode_batch(sentences) for i in encoding.ids)
    used = [i for i, _ in counts.most_common() if i not in always]
    return torch.tensor(sorted([*always, *used[: size - len(always)]]))


def write_tokenizer(source: Path, kept: Tensor, out: Path) -> None:
    """Write ``tokenizer.json`` with the ids ``kept`` renumbered from 0, and ``tokenizer_config.json``."""
    spec = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    new = {old: i for i, old in enumerate(kept.tolist())}
    pieces = sorted((new[i], piece) for piece, i in spec["model"]["vocab"].items() if i in new)
    spec["model"]["vocab"] = {piece: i for i, piece in pieces}
    for token in spec["added_tokens"]:
        token["id"] = new[token["id"]]
    for token in spec["post_processor"]["special_tokens"].values():
        token["ids"] = [new[i] for i in token["ids"]]
    spec["truncation"] = {"max_length": MAX_TOKENS, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    spec["padding"] = None
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": MAX_TOKENS,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    }
    text = json.dumps(spec, ensure_ascii=False, separators=(",", ":"))
    (out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def find_what_matters(teacher: PreTrainedModel, kept: Tensor, sample: list[Batch]) -> tuple[Tensor, list[Tensor]]:
    """What moves the teacher's margin between the labels, from gradients on ``sample``.

    Returns the second moment of the gradient at the embeddings' output, float32 (width, width) with mean
    eigenvalue 1, and each layer's feed-forward neurons, the most important first (mean of activation times
    gradient: Molchanov et al., arXiv 1611.06440).
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    layers = teacher.bert.encoder.layer
    watched = [teacher.bert.embeddings, *(layer.intermediate for layer in layers)]
    hooks = [module.register_forward_hook(keep) for module in watched]
    moment = torch.zeros(teacher.config.hidden_size, teacher.config.hidden_size)
    totals = [torch.zeros(teacher.config.intermediate_size) for _ in layers]
    for batch in sample:
        outputs.clear()
        logits = teacher(input_ids=kept[batch.ids], attention_mask=batch.mask).logits
        (logits[:, 1] - logits[:, 0]).sum().backward()
        embedded, *active = outputs
        gradient = embedded.grad[batch.mask.bool()]
        moment += gradient.T @ gradient
        for total, output in zip(totals, active, strict=True):
            total.add_((output.detach() * output.grad).abs().sum((0, 1)))
    for hook in hooks:
        hook.remove()
    teacher.zero_grad()
    return moment / moment.trace() * len(moment), [total.argsort(descending=True) for total in totals]


@torch.no_grad()
def copy_embeddings(
    student: ElectraForSequenceClassification,
    teacher: PreTrainedModel,
    kept: Tensor,
    sample: list[Batch],
    moment: Tensor,
) -> None:
    """Start the factorised embedding from the teacher's: SVD for the tables, least squares for the projection.

    The SVD is weighted so that the directions which move the teacher's answer are kept first.
    """
    old, new = teacher.bert.embeddings, student.electra.embeddings
    words = old.word_embeddings.weight[kept] - old.word_embeddings.weight[kept].mean(0)
    values, vectors = torch.linalg.eigh(moment + 0.3 * torch.eye(len(moment)))
    root = vectors * values.sqrt() @ vectors.T
    right = root @ torch.linalg.svd(words @ root, full_matrices=False).Vh[: student.config.embedding_size].T
    new.word_embeddings.weight.copy_(words @ right)
    new.position_embeddings.weight.copy_(old.position_embeddings.weight[:MAX_TOKENS] @ right)
    new.token_type_embeddings.weight.zero_()
    # Padding takes part in neither side.
    inputs = torch.cat([new(batch.ids)[batch.mask.bool()] for batch in sample])
    wanted = torch.cat([old(kept[batch.ids])[batch.mask.bool()] for batch in sample])
    with_bias = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    solution = torch.linalg.lstsq(with_bias, wanted).solution
    student.electra.embeddings_project.weight.copy_(solution[:-1].T)
    student.electra.embeddings_project.bias.copy_(solution[-1])


@torch.no_grad()
def copy_layers(
    student: ElectraForSequenceClassification, teacher: PreTrainedModel, layers: list[int], ranked: list[Tensor]
) -> None:
    """Take whole layers over, the feed-forward block cut to its most important neurons."""
    for to, index in zip(student.electra.encoder.layer, layers, strict=True):
        state = teacher.bert.encoder.layer[index].state_dict()
        neurons = ranked[index][: student.config.intermediate_size]
        for name in ("intermediate.dense.weight", "intermediate.dense.bias"):
            state[name] = state[name][neurons]
        state["output.dense.weight"] = state["output.dense.weight"][:, neurons]
        to.load_state_dict(state)
    student.classifier.dense.load_state_dict(teacher.bert.pooler.dense.state_dict())
    student.classifier.out_proj.load_state_dict(teacher.classifier.state_dict())


def cut_student(
    teacher: PreTrainedModel, kept: Tensor, sample: list[Batch], cut: Cut
) -> ElectraForSequenceClassification:
    """An untrained student holding what ``cut`` names of the teacher."""
    config = ElectraConfig(
        vocab_size=len(kept),
        embedding_size=cut.embedding,
        hidden_size=teacher.config.hidden_size,
        num_hidden_layers=len(cut.layers),
        num_attention_heads=teacher.config.num_attention_heads,
        intermediate_size=cut.feed_forward,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=kept.tolist().index(teacher.config.pad_token_id),
        id2label=LABELS,
        label2id={name: i for i, name in LABELS.items()},
    )
    student = ElectraForSequenceClassification(config).eval()
    moment, ranked = find_what_matters(teacher, kept, sample)
    copy_embeddings(student, teacher, kept, sample, moment)
    copy_layers(student, teacher, cut.layers, ranked)
    return student


def make_student(args: argparse.Namespace, teacher: PreTrainedModel, cut: Cut, recipe: Recipe, directory: Path) -> None:
    """Cut a student out of the teacher and distil it into ``directory``, replacing an earlier one."""
    torch.manual_seed(recipe.seed)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    sentences, labels = read_tsv(args.data / "train.tsv")
    kept = choose_pieces(load_tokenizer(args.work / "teacher"), sentences, args.pieces)
    write_tokenizer(args.work / "teacher", kept, directory)
    tokenizer = load_tokenizer(directory)
    sentences, answers = torch.load(args.work / "answers.pt")
    labels = torch.cat([labels, answers[len(labels) :].argmax(-1)])
    train_set = encode(tokenizer, sentences, labels, answers)
    stream = train_set.shuffled(torch.Generator().manual_seed(recipe.seed))
    student = cut_student(teacher, kept, [next(stream) for _ in range(SAMPLE_BATCHES)], cut)
    say(f"student: {sum(p.numel() for p in student.parameters()):,} parameters, {len(kept):,} word pieces")
    loss = distillation_loss(args.temperature, args.alpha)
    dev = encode(tokenizer, *read_tsv(args.data / "dev.tsv"))
    train(student, train_set, dev, loss, recipe, directory)


def load_model(directory: Path) -> PreTrainedModel:
    """The directory's model, computing in float32 whatever it is stored in."""
    return AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32).eval()


def score(directory: Path, files: list[Path]) -> list[str]:
    """Accuracy in percent of a Hugging Face directory on each labelled file, as text."""
    model, tokenizer = load_model(directory), load_tokenizer(directory)
    return [f"{accuracy_percent(model, encode(tokenizer, *read_tsv(file))):.1f}" for file in files]


def export(args: argparse.Namespace, cut: Cut) -> None:
    """Write the shipped directory; what the card says was measured on the files in it."""
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    student = load_model(args.work / "student")
    student.half().save_pretrained(args.out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(args.work / "student" / name, args.out / name)
    files = [args.data / "dev.tsv", HERE / "sentences.tsv"]
    teacher_dev, teacher_own = score(args.work / "teacher", files)
    student_dev, student_own = score(args.out, files)
    say(f"teacher: dev {teacher_dev} %, sentences.tsv {teacher_own} %")
    say(f"student: dev {student_dev} %, sentences.tsv {student_own} %")
    parameters = sum(p.numel() for p in student.parameters())
    card = Template(CARD).substitute(
        vars(args) | vars(cut),
        teacher_dev=teacher_dev,
        teacher_own=teacher_own,
        student_dev=student_dev,
        student_own=student_own,
        parameters=f"{parameters:,}",
        count=len(cut.layers),
        layers=" and ".join(map(str, cut.layers)),
        tokens=MAX_TOKENS,
    )
    (args.out / "README.md").write_text(card, encoding="utf-8")
    size = sum(file.stat().st_size for file in args.out.iterdir())
    say(f"{args.out}: {size:,} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{args.out} has {size:,} bytes, maximum {MAX_BYTES:,}: lower --pieces or --feed-forward")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "minilm", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bfloat16", action="store_true", help="train with bfloat16 products")
    parser.add_argument("--pieces", type=int, default=8400, help="size of the student's vocabulary")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 5], help="the teacher's layers to keep")
    parser.add_argument("--embedding", type=int, default=192, help="width of the factorised embedding")
    parser.add_argument("--feed-forward", type=int, default=512, help="neurons kept per layer, of 1536")
    parser.add_argument("--teacher-epochs", type=float, default=2)
    parser.add_argument("--teacher-only", action="store_true", help="stop when WORK/teacher is there")
    parser.add_argument("--copies", type=int, default=3, help="variations made of each train sentence")
    parser.add_argument("--epochs", type=float, default=2.5, help="over the train sentences and their variations")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--alpha", type=float, default=0.0, help="weight of the labels beside the teacher")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    teacher_directory, answers = args.work / "teacher", args.work / "answers.pt"
    if not teacher_directory.exists():
        recipe = Recipe(5e-5, args.teacher_epochs, 16, args.seed, args.bfloat16)
        make_teacher(args.minilm, args.data, teacher_directory, recipe)
    if args.teacher_only:
        return
    teacher = load_model(teacher_directory)
    if not answers.exists():
        make_answers(args, teacher, answers)
    cut = Cut(args.layers, args.embedding, args.feed_forward)
    recipe = Recipe(args.learning_rate, args.epochs, 4, args.seed, args.bfloat16)
    make_student(args, teacher, cut, recipe, args.work / "student")
    export(args, cut)


if __name__ == "__main__":
    main()
