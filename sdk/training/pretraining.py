"""A language model from nothing: text -> tokenizer, token files, training -> a Hugging Face directory."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewright import registry
from edgewright._version import __version__
from edgewright.data.text_documents import Documents
from edgewright.errors import StorageError, UsageError
from edgewright.system.atomic import staged
from edgewright.system.progress import silent
from edgewright.system.shown import brief
from edgewright.training import threads
from edgewright.training.decoder_shape import DecoderShape, named
from edgewright.training.decoder_tokenizer import KINDS, end_of, train_decoder_tokenizer
from edgewright.training.hush import hush
from edgewright.training.pretraining_page import page
from edgewright.training.pretraining_recipe import PretrainingRecipe
from edgewright.training.token_files import TokenFiles, write_tokens
from edgewright.training.unfinished import Unfinished, first_alone, is_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgewright.model.source import Source
    from edgewright.training._pretraining import Tale, Teacher

__all__ = ["Pretrained", "pretrain"]

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


@dataclass(frozen=True)
class Pretrained:
    """A finished training.

    Attributes:
        directory: the model of the lowest validation loss, with its tokenizer.
        loss: its validation loss, in nats a token; `perplexity` is its exponential.
        bits_per_byte: the same for each byte of the text, which tokenizers do not change.
        tokens: that it was trained on; `train_tokens` are those of the text, each several times among them.
        tokens_per_s: of all processes, without validation.
        of_peak: the share of what a product of two large matrices reached on this machine, None where it was not taken.
        sample: what the last model wrote.
    """

    directory: Path
    loss: float
    bits_per_byte: float
    best_step: int
    steps: int
    parameters: int
    tokens: int
    train_tokens: int
    validation_tokens: int
    seconds: float
    tokens_per_s: float
    of_peak: float | None
    sample: str

    @property
    def perplexity(self) -> float:
        """The exponential of the loss."""
        return math.exp(self.loss)

    def __repr__(self) -> str:
        loss = f"validation loss {self.loss:.4f} after {self.best_step} of {self.steps} steps"
        return brief(self, self.directory.name, loss, f"{self.parameters:,} parameters")


def pretrain(
    text: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    shape: DecoderShape | str = "10m",
    tokenizer: str | Path = "bpe",
    recipe: PretrainingRecipe | None = None,
    separator: str = "",
    column: str = "text",
    token_files: str | Path | None = None,
    prompt: str = "",
    teacher: str | Path | None = None,
    alpha: float = 0.5,
    temperature: float = 1.0,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[str], None] = silent,
) -> Pretrained:
    """Train a language model from nothing on text.

    What is not finished yet lies beside `out`, in `OUT-training`: tokenizer, token files, the last state, and in `best`
    the best model so far. With `resume` a run goes on from there, and ends with the very model, to the bit on a CPU,
    that an uninterrupted one would have made.

    Args:
        text: files of text, .jsonl, .parquet, .tsv or .csv, and directories of such.
        out: the new directory.
        shape: of the model, or the name of a preset: 1m, 10m, 60m, 135m.
        tokenizer: `bpe` or `unigram`, trained on the text, with as many tokens as the shape says; or the directory of
            one that is there, whose tokens the shape then takes.
        recipe: the settings.
        separator: between documents of plain text, by default `<|endoftext|>` where a file has it.
        column: of texts, in tables.
        token_files: a directory where the token files are kept, for further runs.
        prompt: what samples begin with.
        teacher: the directory, file or hub id of a bigger model, whose probabilities are learnt beside the text
            (Hinton et al. 2015, arXiv 1503.02531); its tokenizer is taken.
        alpha: weight of the text; the rest is the teacher's.
        temperature: softens both sides' probabilities.
        resume: go on with an interrupted run.
        force: replace `out`, if it holds a model.
        progress: called with a phrase now and then.

    Raises:
        UsageError: a setting that cannot be.
        DataError: no text, a shard that is missing, altered or cut, a loss that is no number.
        StorageError: the disk is full, `out` is there, or an unfinished run is.
        MissingExtra: torch, transformers or accelerate is not installed.
    """
    registry.require(("torch", "transformers", "accelerate"), "train")
    hush()
    target = Path(out)
    if target.exists() and not force:
        raise StorageError(f"{target} exists", hint="use --force to replace it")
    wanted = _resolved(recipe or PretrainingRecipe())
    threads.limit(wanted.threads)
    documents = Documents.of([text] if isinstance(text, (str, Path)) else text, separator=separator, column=column)
    unfinished, size = Unfinished(target), shape if isinstance(shape, DecoderShape) else named(shape)
    size.config(dropout=wanted.dropout)  # what cannot be is refused before the text is read
    lesson = _Lesson.of(teacher, tokenizer, alpha, temperature)
    facts = {**asdict(wanted), **asdict(size), "text": documents.fingerprint(), **lesson.facts()}
    with first_alone():
        unfinished.begin(facts, resume=resume or not is_first())
        with unfinished.prepared():
            words = _tokenizer(lesson.tokenizer, documents, unfinished.directory / "tokenizer", size, progress)
            place = Path(token_files) if token_files else unfinished.directory / "tokens"
            files = write_tokens(documents, words, place, validation=wanted.validation, progress=progress)
    size = replace(size, vocabulary=files.manifest.vocabulary)
    with unfinished.prepared():
        run = _run(size, wanted, files, lesson, _Place(unfinished.directory, words, prompt, progress))
    tale = run.run()
    done = _pretrained(target, size, run, files, tale)
    if is_first():
        _save(done, tale, unfinished.directory, facts, force=force)
    unfinished.end()
    return done


@dataclass(frozen=True)
class _Lesson:
    """Where tokens come from, and who teaches."""

    tokenizer: str | Path
    source: Source | None
    alpha: float
    temperature: float

    @classmethod
    def of(cls, teacher: str | Path | None, tokenizer: str | Path, alpha: float, temperature: float) -> _Lesson:
        """Raise UsageError, SourceError."""
        if not 0 <= alpha <= 1 or not temperature > 0:
            raise UsageError(f"alpha is {alpha:g}, from 0 to 1, temperature {temperature:g}, above 0")
        if teacher is None:
            return cls(tokenizer, None, 1.0, temperature)
        from edgewright.model.source import open_source

        source = open_source(teacher, task="text-generation")
        if str(tokenizer) not in KINDS and _name_of(tokenizer) != _name_of(source.directory):
            what = f"{tokenizer} is another tokenizer than that of {teacher}"
            raise UsageError(what, hint="what is learnt from a teacher belongs to its tokens: leave --tokenizer out")
        return cls(source.directory, source, alpha, temperature)

    def facts(self) -> dict[str, Any]:
        """What tells it from others."""
        own = {"tokenizer": _name_of(self.tokenizer)}
        if not self.source:
            return own
        return {**own, "teacher": self.source.sha256(), "alpha": self.alpha, "temperature": self.temperature}

    def teacher(self) -> Teacher | None:
        """The model that teaches, with its weights."""
        if not self.source:
            return None
        from transformers import AutoModelForCausalLM

        from edgewright.training._pretraining import Teacher

        model = AutoModelForCausalLM.from_pretrained(self.source.directory, dtype="float32")
        return Teacher(model, self.alpha, self.temperature)


@dataclass(frozen=True)
class _Place:
    """Where an unfinished run lies, with its tokenizer, and who is told of it."""

    directory: Path
    words: Path
    prompt: str
    progress: Callable[[str], None]


_BF16_OF_CPUS = ("avx512_bf16", "amx_bf16")
"""Instructions that multiply bf16 four times as fast as float32 (EPYC 9005: 430 against 90 GFLOP/s a core); where a CPU
lacks them torch computes in float32 after all, and converts besides."""


def _resolved(recipe: PretrainingRecipe) -> PretrainingRecipe:
    """The recipe with a precision that this machine has."""
    import torch

    if recipe.precision != "auto":
        return recipe
    if torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = torch.cpu.get_capabilities()
        bf16 = any(has.get(name, False) for name in _BF16_OF_CPUS)
    return replace(recipe, precision="bf16" if bf16 else "fp32")


def _name_of(tokenizer: str | Path) -> str:
    from edgewright.text.tokenizer import Tokenizer

    return str(tokenizer) if str(tokenizer) in KINDS else Tokenizer(Path(tokenizer), 1).sha256


def _tokenizer(
    tokenizer: str | Path, documents: Documents, out: Path, shape: DecoderShape, progress: Callable[[str], None]
) -> Path:
    """The directory of a tokenizer: that which is given, or one that is trained now if it is not there."""
    if str(tokenizer) not in KINDS:
        return Path(tokenizer)
    if not (out / "tokenizer_config.json").is_file():  # written last
        progress(f"train a tokenizer of {shape.vocabulary} tokens")
        train_decoder_tokenizer(documents, out, kind=str(tokenizer), size=shape.vocabulary, max_length=shape.context)
    return out


def _run(shape: DecoderShape, recipe: PretrainingRecipe, files: TokenFiles, lesson: _Lesson, place: _Place) -> Any:
    import torch
    import transformers
    from tokenizers import Tokenizer as Backend

    from edgewright.training._pretraining import Batches, Pretraining

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    files.check_tokenizer(place.words)
    backend, end = Backend.from_file(str(place.words / "tokenizer.json")), files.manifest.end
    given = backend.encode(place.prompt, add_special_tokens=False).ids if place.prompt else [end]
    if len(given) >= shape.context:
        raise UsageError(f"the prompt has {len(given)} tokens, the context {shape.context}", hint="shorten it")
    teacher, batches = lesson.teacher(), Batches(files, shape.context, recipe.seed)
    torch.manual_seed(recipe.seed)
    config = transformers.AutoConfig.for_model(**shape.config(dropout=recipe.dropout, begin=end, end=end))
    return Pretraining(
        model=transformers.AutoModelForCausalLM.from_config(config),
        batches=batches,
        recipe=recipe,
        place=place.directory,
        flops=shape.flops_per_token(),
        keep=lambda work: _carry(place.words, work, shape.context),
        write=lambda ids: str(backend.decode(ids)).strip(),
        prompt=given,
        progress=place.progress if is_first() else silent,
        teacher=teacher,
    )


def _carry(words: Path, work: Path, context: int) -> None:
    """The tokenizer's files beside a model, with the model's length."""
    for name in _TOKENIZER:
        if (words / name).is_file():
            shutil.copyfile(words / name, work / name)
    path = work / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **config, "model_max_length": context}
    config["eos_token"] = end_of(words)[1]
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _pretrained(target: Path, shape: DecoderShape, run: Any, files: TokenFiles, tale: Tale) -> Pretrained:
    speed = tale.tokens / max(tale.seconds, 1e-9)
    per_byte = files.tokens("validation") / files.text_bytes("validation")
    return Pretrained(
        directory=target,
        loss=tale.best,
        bits_per_byte=tale.best * per_byte / math.log(2),
        best_step=tale.best_step,
        steps=run.steps,
        parameters=sum(one.numel() for one in run.model.parameters()),
        tokens=tale.tokens,
        train_tokens=files.tokens("train"),
        validation_tokens=files.tokens("validation"),
        seconds=round(tale.seconds, 1),
        tokens_per_s=round(speed, 1),
        of_peak=round(speed * shape.flops_per_token() / tale.peak_flops, 3) if tale.peak_flops else None,
        sample=tale.samples[-1][1] if tale.samples else "",
    )


def _save(done: Pretrained, tale: Tale, unfinished: Path, facts: dict[str, Any], *, force: bool) -> None:
    """The best model, and beside it in `training/` the record and the curves of the run."""
    with staged(done.directory, marker="config.json", force=force) as work:
        shutil.copytree(unfinished / "best", work, dirs_exist_ok=True)
        for path in work.iterdir():
            path.chmod(0o644)
        notes = work / "training"
        notes.mkdir()
        record = {**asdict(done), "directory": done.directory.name, "edgewright": __version__, "settings": facts}
        record |= {"losses": tale.losses, "validations": tale.validations, "samples": tale.samples}
        (notes / "pretraining.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        (notes / "curves.html").write_text(page(record), encoding="utf-8")
