"""manifest.json: what a bundle says of itself, typed, and read with distrust.

Law: `decode(encode(m)) == m`, and equal manifests encode to equal bytes.
"""

# Without `annotations` from the future: msgspec would compile each field's type from a text, 4 ms of a first answer

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from edgewright.errors import BundleError
from edgewright.system.untrusted import strict_json

__all__ = [
    "MOST_INPUTS",
    "SCHEMA",
    "Artifact",
    "Choice",
    "Decoding",
    "File",
    "Golden",
    "GoldenCase",
    "Manifest",
    "Narrowed",
    "Parity",
    "Score",
    "Settings",
    "Shortlisted",
    "Source",
    "Target",
    "TensorSpec",
    "decode",
    "encode",
]

SCHEMA = 1
"""The first one; it goes up when an older reader would misread a bundle."""
MOST_INPUTS = 300
"""Characters of `Choice.inputs`: words for people, a dozen lengths in them."""

_Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Size = Annotated[int, Meta(ge=0)]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class TensorSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output: a dimension is a number, or a name where it varies."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Parity(Struct, frozen=True, forbid_unknown_fields=True):
    """How far an artifact is from the eager fp32 model over the gate texts.

    max_abs and mean_abs are absolute errors of the outputs; sqnr_db is the signal to quantization noise ratio,
    10 log10(sum(reference^2) / sum(error^2)), 200 where the error is zero; cosine is the smallest over the cases, all
    outputs of a case as one vector, and worst_case is that case; top1 is the share of choices (a text's class, a
    token's, an answer) that are the eager model's, null where a task has no classes; diverged is the broken limit, in
    words, of an artifact that was kept all the same.
    """

    texts: int
    max_abs: float
    mean_abs: float
    sqnr_db: float
    cosine: float
    top1: float | None
    worst_case: str
    diverged: str | None = None


class Score(Struct, frozen=True, forbid_unknown_fields=True):
    """The task metric on a data set, in percent; `reference` is the eager model's value on the same rows."""

    metric: str
    value: float
    n: int
    data: str
    reference: float | None = None


class Decoding(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a decoder's artifact writes beside the eager fp32 model, over the texts of the gate.

    Attributes:
        tokens: how many were predicted, each from the true ones before it.
        context: the longest text among them, in tokens.
        perplexity: exp of the mean negative log likelihood of the tokens; `reference` is the eager model's.
        kl: the mean over the tokens of the Kullback-Leibler divergence from the eager model's distribution, in nats.
        top1: the share of tokens whose likeliest successor is the eager model's.
        prompts: from how many prompts greedy tokens were written, `written` from each; `equal` of them are the eager
            model's to the last.
        first_difference: the first token of any prompt that is another one, counted from 0; None where all are equal.
        margin: how far apart the eager model's two likeliest logits were there, in units of the root mean square of
            all logits.
        ways: how the cache was filled, each giving what reading the whole prompt at once gives.
    """

    tokens: int
    context: int
    perplexity: float
    reference: float
    kl: float
    top1: float
    prompts: int
    written: int
    equal: int
    first_difference: int | None
    margin: float | None
    ways: tuple[str, ...]


class Narrowed(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to look for translations, with the bundle's shortlist and without it, over the same rows.

    Attributes:
        num_beams: of the search; 1 is greedy.
        equal: how many translations are the same text.
        bleu, chrf: of the translations with it, against those of the rows; `whole_bleu`, `whole_chrf` without.
    """

    num_beams: int
    equal: int
    bleu: float
    whole_bleu: float
    chrf: float
    whole_chrf: float


class Shortlisted(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the shortlist of a bundle does to an artifact's translations of labelled rows.

    Attributes:
        candidates: tokens that a sentence is held to, the mean; `vocabulary` how many there are.
        rows: how many were translated, of `data`.
        pairs: how many sentence pairs the table was learnt from.
        ways: greedy, and with beams.
    """

    candidates: float
    vocabulary: int
    rows: int
    data: str
    pairs: int
    ways: tuple[Narrowed, ...]


class Artifact(Struct, frozen=True, forbid_unknown_fields=True):
    """One engine file; `float_operators` are the kinds of operators that a lower precision left in float.

    `decoding` is of a decoder alone, `carried` names the quantization of the source that was kept as it is, and
    `weights_bytes` is the size of a file with its weights beside it, and `shortlist` is of an artifact that is held to
    the bundle's shortlist: an older edgewright, which knows none of them, reads every other bundle.
    """

    path: str
    format: _Name
    precision: _Name
    size_bytes: _Size
    sha256: _Sha256
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: Parity
    score: Score | None = None
    float_operators: tuple[str, ...] = ()
    decoding: Decoding | UnsetType = UNSET
    carried: str | UnsetType = UNSET
    weights_bytes: _Size | UnsetType = UNSET
    shortlist: Shortlisted | UnsetType = UNSET

    @property
    def total_bytes(self) -> int:
        """The file, and the one with its weights where these lie beside it."""
        return self.size_bytes + (0 if isinstance(self.weights_bytes, UnsetType) else self.weights_bytes)

    @property
    def cache_dtype(self) -> str | None:
        """The type of keys and values where they go in and come out; None where there are none, or they lie inside."""
        return next((spec.dtype for spec in self.inputs if spec.name.startswith("past_key_values.")), None)

    @property
    def key(self) -> str:
        """`format/precision`, as tables print it."""
        return f"{self.format}/{self.precision}"

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        score = f"{self.score.metric} {self.score.value:.2f}" if self.score else ""
        if isinstance(self.decoding, Decoding):
            score = f"perplexity {self.decoding.perplexity:.4g}"
        return brief(self, self.key, f"{self.total_bytes / 1e6:.3g} MB", score)

    def cells(self) -> dict[str, Any]:
        """The columns of a table."""
        score, parity = self.score, self.parity
        return {
            "artifact": self.key,
            "size": f"{self.total_bytes / 1e6:.3g} MB",
            "score": f"{score.value:.2f} {score.metric} (n {score.n}, {score.data})" if score else None,
            "cosine": parity.cosine,
            "same choice": None if parity.top1 is None else f"{parity.top1:.1%}",
            "diverged": parity.diverged,
        }


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that is not an artifact: tokenizer, configuration, golden cases."""

    path: str
    size_bytes: _Size
    sha256: _Sha256


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    """What a race chose for a kind of machine.

    Attributes:
        machine: the model of the machine, as `edgewright doctor` gives it.
        path: the artifact.
        threads: the engine's threads.
        latency_ms: its median there.
        inputs: what it was measured on, such as `64 tokens`.
        buckets: the lengths that texts are padded to; () is all that the artifact has, or none where it needs none.
    """

    machine: Annotated[str, Meta(min_length=1, max_length=200)]
    path: str
    threads: Annotated[int, Meta(ge=1)]
    latency_ms: Annotated[float, Meta(gt=0)]
    inputs: Annotated[str, Meta(max_length=MOST_INPUTS)]
    buckets: tuple[Annotated[int, Meta(ge=1)], ...] = ()


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a task needs to know of the model, beyond the task's name.

    Attributes:
        max_length: tokens at which texts are cut, special ones included.
        labels: of a classifier, in the order of its outputs.
        problem: what its outputs are.
        pooling: how the vectors of tokens become one; `model` where the artifact gives the one vector itself.
        normalize: whether that vector is brought to length 1.
        prompt: a text that is put before every text, as the source says.
        prompts: others that it names, by name.
        activation: what a regression's outputs go through, `sigmoid` where the source says so.
        reads_padding: whether its outputs change by the padding behind a text, as where an embedding or a convolution
            looks at a token's neighbours: texts of several lengths are then never run together.
        table: whether a text's vector is a mean over rows of a table and nothing more: several texts are then run
            together, and have the vectors that they have alone.
        characters: of a text so many are read, before it becomes tokens; 0 is all.
    """

    max_length: Annotated[int, Meta(ge=1)]
    labels: tuple[str, ...] = ()
    problem: Literal["single_label", "multi_label", "regression"] = "single_label"
    pooling: Literal["mean", "cls", "max", "model"] = "mean"
    normalize: bool = False
    prompt: str = ""
    prompts: dict[str, str] = {}
    activation: Literal["identity", "sigmoid"] = "identity"
    reads_padding: bool = False
    table: bool = False
    characters: Annotated[int, Meta(ge=0)] = 0


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the model came from: its architecture, its number of parameters, the SHA-256 over its files.

    unread are keys of its config.json that neither transformers nor edgewright knows; outside says what its answers
    were held against beside the eager model, null where nothing of the kind exists.
    """

    architecture: str
    parameters: _Size
    sha256: _Sha256
    licence: str | None = None
    unread: tuple[str, ...] = ()
    outside: str | None = None


class Target(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The boards that a bundle is for; of each kind that is named a board must be one, and () is any.

    Attributes:
        models: what a board calls itself, as a device tree or Android has it; `*` and `?` stand for anything.
        architectures: such as `aarch64`.
        fleets: what a board's owner calls it, in `keys/fleet` there.
        until: the last version of the owner's root of keys (`edgewright.bundle.keys`) for which it is good.
    """

    models: tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...] = ()
    architectures: tuple[_Name, ...] = ()
    fleets: tuple[_Name, ...] = ()
    until: Annotated[int, Meta(ge=1, lt=2**53)] | None = None


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root object of manifest.json.

    version is a counter that the owner raises with each release, 0 where none is kept: boards do not know the date.
    An edgewright that knows no target refuses a bundle that has one.
    """

    schema: Annotated[int, Meta(ge=1)] = SCHEMA
    version: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    task: _Name
    settings: Settings
    artifacts: Annotated[tuple[Artifact, ...], Meta(min_length=1)]
    files: tuple[File, ...]
    source: Source
    toolchain: dict[str, str]
    choices: tuple[Choice, ...] = ()
    target: Target | UnsetType = UNSET

    @property
    def summary(self) -> str:
        """The task, the artifacts and the bytes of all files, in a line."""
        every: tuple[Artifact | File, ...] = (*self.artifacts, *self.files)
        size = sum(one.size_bytes for one in every)
        return f"{self.task}, {', '.join(artifact.key for artifact in self.artifacts)}, {size / 1e6:.3g} MB"

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        return brief(self, self.summary)

    def _repr_html_(self) -> str:
        from edgewright.system.markup import tag
        from edgewright.system.shown import table_of

        return tag("p", self.summary) + table_of([artifact.cells() for artifact in self.artifacts])


class GoldenCase(Struct, frozen=True, forbid_unknown_fields=True):
    """text -> token ids -> outputs of each artifact (by path, as the task reduces them) -> the eager answer.

    Of a decoder `tokens` are the greedy ones of each artifact, and the answer is what the first of them wrote.
    """

    text: Any
    input_ids: tuple[int, ...]
    outputs: dict[str, tuple[float, ...]]
    answer: Any
    tokens: dict[str, tuple[int, ...]] | UnsetType = UNSET


class Golden(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root object of golden.json. That there is a case is asked of the reader: none would prove anything."""

    schema: Annotated[int, Meta(ge=1)] = SCHEMA
    cases: Annotated[tuple[GoldenCase, ...], Meta(min_length=1)]


_LATER = {
    "activation": "identity",
    "characters": 0,
    "prompt": "",
    "prompts": {},
    "reads_padding": False,
    "table": False,
}
"""Settings that came after the first release, with what they are where nothing is said: an edgewright that does not
know them reads every bundle that does not need them, and rightly refuses the others."""
_ASIDE = {"outside": "held against", "unread": "keys unread"}
"""Fields of the source that came later and that no answer needs: they lie among the tools, where every edgewright takes
any name."""


def encode(record: Struct) -> bytes:
    """Indented JSON with sorted keys, the same bytes for the same record."""
    tree = msgspec.to_builtins(record)
    if isinstance(record, Manifest):
        said = {name: value for name, value in tree["settings"].items() if name not in _LATER or value != _LATER[name]}
        aside = {name: tree["source"].pop(field) for field, name in _ASIDE.items()}
        words = {name: value if isinstance(value, str) else "\n".join(value) for name, value in aside.items() if value}
        tree |= {"settings": said, "toolchain": {**tree["toolchain"], **words}}
    return json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _put_back(tree: Any) -> None:
    """What `encode` laid aside goes back into the source."""
    tools, source = (tree.get(name) if isinstance(tree, dict) else None for name in ("toolchain", "source"))
    if isinstance(tools, dict) and isinstance(source, dict):
        for field, name in _ASIDE.items():
            words = tools.pop(name, None)
            if isinstance(words, str):
                source[field] = words if field == "outside" else words.split("\n")


def decode(data: bytes, kind: type[Any], name: str) -> Any:
    """Read a record of `kind` from the JSON of the file called `name`.

    Raises:
        BundleError: too large, not JSON, a duplicate key, a newer schema, an unknown or missing field; names the field.
    """
    tree = strict_json(data, name)
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise BundleError(
            f"{name} has schema {schema}, this edgewright reads up to {SCHEMA}", hint="upgrade edgewright"
        )
    if kind is Manifest:
        _put_back(tree)
    try:
        return msgspec.convert(tree, kind, strict=True)
    except msgspec.ValidationError as error:
        raise BundleError(f"{name}: {error}") from error
