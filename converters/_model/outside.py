"""A source's own library, asked about the texts of the gate: transformers' pipelines, or sentence-transformers.

Nothing of edgewright's own reading is used: the user's directory is opened anew, by the classes that its files name.
Where sentence-transformers is not installed, its documented arithmetic is done here in numpy, in float64.
"""

from __future__ import annotations

import importlib.util
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgewright.converters._model import lora, tables
from edgewright.converters._model.settle import has_vocabulary, positions, tokenizer_json
from edgewright.model.known import read_json
from edgewright.model.loading import body_class
from edgewright.model.outside import Asked, Told, ToldRow
from edgewright.model.pruned import FLAG, mend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.model.source import SourceJob

__all__ = ["ask"]

_NO_LENGTH = 10**6
"""Above every model's context; transformers writes 10**30 where a tokenizer knows no length."""
_MODES = (
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
)
_WINDOW, _OVERLAP = 384, 128
"""Of questions and contexts: transformers' own question answering had 384 and half of it at most 128."""


def ask(source: SourceJob, asked: Path, told: Path, progress: Callable[[str], None]) -> None:
    """Answer the items in the file `asked` as the source's own library does, and write that to `told`."""
    import torch

    torch.set_num_threads(1)  # several on one short text wait for each other longer than they work
    wanted = msgspec.json.decode(asked.read_bytes(), type=Asked)
    progress(f"ask the source's own library about {len(wanted.items)} texts")
    library = _Static(source) if source.kind == "static" else _library(source)
    told.write_bytes(msgspec.json.encode(library.told(wanted)))


class _Saved:
    """What sentence-transformers saved in a directory, read here once more and by itself; nothing where it did not."""

    def __init__(self, origin: Path) -> None:
        listed = origin / "modules.json"
        modules = _json(listed) if listed.is_file() else []
        self.there, self.origin = bool(modules), origin
        kinds = [(one["type"].rpartition(".")[2], origin / one.get("path", "")) for one in modules]
        self.home = kinds[0][1] if kinds else origin
        self.steps = [one for one in kinds[1:] if one[0] in ("Dense", "LayerNorm", "Normalize")]
        pooling: dict[str, Any] = next((_json(place / "config.json") for kind, place in kinds if kind == "Pooling"), {})
        told = pooling.get("pooling_mode") or [mode for flag, mode in _MODES if pooling.get(flag)] or ["mean"]
        self.modes = [told] if isinstance(told, str) else list(told)
        own = _json(origin / "config_sentence_transformers.json")
        self.activation = own.get("activation_fn")
        self.prompt = (own.get("prompts") or {}).get(own.get("default_prompt_name"), "")
        files = sorted(self.home.glob("sentence_*_config.json")) if modules else []
        options: dict[str, Any] = _json(files[0]) if files else {}
        self.lower, self.length = bool(options.get("do_lower_case")), options.get("max_seq_length")


class _Library:
    """Transformers: the tokenizer and the model of the user's directory."""

    def __init__(self, source: SourceJob) -> None:
        from transformers import AutoTokenizer

        self.source, self.saved, self.model = source, _Saved(source.origin), _model(source)
        self.name = f"transformers {_version('transformers')}"
        home = next((place for place in _places(source) if has_vocabulary(place)), source.directory)
        self.tokenizer = AutoTokenizer.from_pretrained(str(home), local_files_only=True, trust_remote_code=False)
        self.spec = tokenizer_json(self.tokenizer, lower=self.saved.lower)
        if self.saved.lower:
            _lower(self.tokenizer)
        self.length = self._length()

    def _length(self) -> int:
        said = self.saved.length or self.tokenizer.model_max_length
        table = positions(self.model, self.model.config)
        bounds = [bound for bound in (said, table) if bound and bound < _NO_LENGTH]
        return int(min([*bounds, *([_WINDOW] if self.source.task == "question-answering" else [])], default=512))

    def told(self, asked: Asked) -> Told:
        """Everything that is asked."""
        texts = [item if isinstance(item, list) else [item] for item in asked.items]
        rows = [ToldRow(*self.ids(text), answer) for text, answer in zip(texts, self.answers(texts), strict=True)]
        group = [self.shaped(texts[at]) for at in asked.batch]
        given = [list(part) for part in zip(*group, strict=True)]
        padded = self.tokenizer(*given, padding=True, **self._cut()) if group else {"input_ids": []}
        sides = (self.tokenizer.truncation_side, self.tokenizer.padding_side)
        batch = tuple(tuple(map(int, row)) for row in padded["input_ids"]) if self._pads() else ()
        return Told(self.name, tuple(rows), batch, self.length, self.spec, sides)

    def _pads(self) -> bool:
        return self.tokenizer.pad_token_id is not None and self.source.task != "question-answering"

    def _cut(self) -> dict[str, Any]:
        return {"truncation": True, "max_length": self.length}

    def shaped(self, text: list[str]) -> list[str]:
        """The texts of an item as the tokenizer takes them."""
        return text

    def ids(self, text: list[str]) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...] | None]:
        """Token ids and segment ids."""
        found = self.tokenizer(*self.shaped(text), **self._cut())
        types = found.get("token_type_ids")
        return (tuple(found["input_ids"]),), None if types is None else (tuple(types),)

    def answers(self, texts: list[list[str]]) -> list[Any]:
        """What the pipeline of the task answers."""
        raise NotImplementedError


class _Classifier(_Library):
    def answers(self, texts: list[list[str]]) -> list[Any]:
        function = {"Sigmoid": "sigmoid", "Identity": "none"}.get(_saved_activation(self.source))
        only = len(self.source.settings.labels) == 1
        given = {"function_to_apply": function} if function and only else {}
        pipe = _pipeline("text-classification", self)
        items = [{"text": t[0], "text_pair": t[1]} if len(t) > 1 else t[0] for t in texts]
        return [pipe(item, top_k=None, truncation=True, max_length=self.length, **given) for item in items]


class _Tagger(_Library):
    def answers(self, texts: list[list[str]]) -> list[Any]:
        pipe = _pipeline("token-classification", self, ignore_labels=[])
        # Its pipeline cuts at the tokenizer's own length and takes no other
        self.tokenizer.model_max_length = self.length
        return [[_tag(one) for one in pipe(text[0])] for text in texts]


def _tag(given: dict[str, Any]) -> dict[str, Any]:
    return {"label": given["entity"], "score": float(given["score"]), "start": given["start"], "end": given["end"]}


class _Filler(_Library):
    def answers(self, texts: list[list[str]]) -> list[Any]:
        more = {"truncation": True, "max_length": self.length}
        pipe = _pipeline("fill-mask", self)
        found = [pipe(text[0], top_k=5, tokenizer_kwargs=more) for text in texts]
        return [one if one and isinstance(one[0], list) else [one] for one in found]


class _Answerer(_Library):
    """Logits of starts and ends: transformers 5 has the model and no pipeline for it."""

    def windows(self, text: list[str]) -> Any:
        question, context = text
        room = self.length - self.tokenizer.num_special_tokens_to_add(pair=True)
        ids = self.tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
        if len(ids["input_ids"]) > room // 2 > 0:
            question = question[: ids["offset_mapping"][room // 2 - 1][1]]
            ids = self.tokenizer(question, add_special_tokens=False)
        left = room - len(ids["input_ids"])
        return self.tokenizer(  # as lists: by itself a pair whose second text is empty counts as one text
            [question],
            [context],
            truncation="only_second",
            max_length=self.length,
            stride=min(_OVERLAP, self.length // 2, left // 2),
            return_overflowing_tokens=True,
        )

    def ids(self, text: list[str]) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...] | None]:
        found = self.windows(text)
        types = found.get("token_type_ids")
        return tuple(map(tuple, found["input_ids"])), None if types is None else tuple(map(tuple, types))

    def answers(self, texts: list[list[str]]) -> list[Any]:
        return [self._logits(self.windows(text)) for text in texts]

    def _logits(self, found: Any) -> list[list[list[float]]]:
        import torch

        answer: list[list[list[float]]] = []
        names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in found]
        for at in range(len(found["input_ids"])):
            with torch.inference_mode():
                out = self.model(**{name: torch.tensor([found[name][at]]) for name in names})
            answer += torch.stack([out.start_logits[0], out.end_logits[0]], dim=-1).tolist()
        return answer


class _Rows(_Library):
    """A task whose item is an object, and several rows of the model: pairs of texts."""

    cut: str | bool = True

    def pairs(self, item: dict[str, Any]) -> list[list[str]]:
        """The pairs that the model reads of an item."""
        raise NotImplementedError

    def shaped(self, text: list[Any]) -> list[str]:
        return self.pairs(text[0])[0]

    def _pads(self) -> bool:
        return False  # the rows of one item are no padded batch of several

    def ids(self, text: list[Any]) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...] | None]:
        # As a list of pairs, as CrossEncoder has it: by itself a pair whose second text is empty counts as one text
        pairs = [tuple(pair) for pair in self.pairs(text[0])]
        made = self.tokenizer(pairs, truncation=self.cut, max_length=self.length)
        types = made.get("token_type_ids")
        return tuple(map(tuple, made["input_ids"])), None if types is None else tuple(map(tuple, types))


class _Ranker(_Rows):
    """The sigmoid of each pair's one output, or of two the second one's softmax, by the pipeline that classifies.

    None of an empty text, which that pipeline takes for none.
    """

    def pairs(self, item: dict[str, Any]) -> list[list[str]]:
        return [[item["query"], one] for one in item["texts"]]

    def answers(self, texts: list[list[Any]]) -> list[Any]:
        pipe, names = _pipeline("text-classification", self), self.model.config.id2label
        more = {"function_to_apply": "sigmoid"} if len(names) == 1 else {"function_to_apply": "softmax"}
        found = []
        for (item,) in texts:
            rated: list[float | None] = []
            for one, other in self.pairs(item):
                asked = {"text": one, "text_pair": other}
                told = pipe(asked, top_k=None, truncation=True, max_length=self.length, **more) if other else []
                scores = {label["label"]: label["score"] for label in told}
                rated.append(scores.get(names[len(names) - 1]))
            found.append(rated)
        return found


class _ZeroShot(_Rows):
    cut = "only_first"

    def pairs(self, item: dict[str, Any]) -> list[list[str]]:
        return [[item["sequence"], f"This example is {label}."] for label in item["candidate_labels"]]

    def answers(self, texts: list[list[Any]]) -> list[Any]:
        # Its pipeline cuts at the tokenizer's own length and takes no other
        self.tokenizer.model_max_length = self.length
        pipe = _pipeline("zero-shot-classification", self)
        asked = [(item["sequence"], item["candidate_labels"]) for (item,) in texts]
        # It takes no text that is empty
        return [pipe(one, labels) if one else None for one, labels in asked]


class _Embedder(_Library):
    """Vectors by sentence-transformers' documented arithmetic on the model's own hidden states."""

    def shaped(self, text: list[str]) -> list[str]:
        return [self.saved.prompt + text[0], *text[1:]]

    def answers(self, texts: list[list[str]]) -> list[Any]:
        return [self._vector(self.shaped(text)).tolist() for text in texts]

    def _vector(self, text: list[str]) -> Any:
        import torch

        found = self.tokenizer(*text, return_tensors="pt", **self._cut())
        with torch.inference_mode():
            given = self.model(
                **{name: value for name, value in found.items() if name != "token_type_ids" or _typed(self.model)}
            )
        own = getattr(given, "text_embeds", None)
        if type(self.model).__name__.startswith("CLIPText"):
            return (given.pooler_output if own is None else own)[0].double().numpy()
        return _behind(self.saved, _pooled(given.last_hidden_state[0].double().numpy(), self.saved.modes))


class _SentenceTransformers(_Embedder):
    """Vectors by the library itself."""

    def __init__(self, source: SourceJob) -> None:
        super().__init__(source)
        import torch
        from sentence_transformers import SentenceTransformer

        # In float32, also where the weights are stored in half of that: so is the eager model
        given = {"model_kwargs": {"dtype": torch.float32}}
        self.own = SentenceTransformer(str(source.origin), device="cpu", local_files_only=True, **given)
        self.name = f"sentence-transformers {_version('sentence-transformers')}"
        self.length = min(self.length, int(self.own.max_seq_length or self.length))

    def _vector(self, text: list[str]) -> Any:
        # The prompt stands before the text already
        vector = self.own.encode([text[0]], prompt="", show_progress_bar=False, convert_to_numpy=True)[0]
        return np.asarray(vector, np.float64)


class _SetFit(_Embedder):
    """The vectors of sentence-transformers, then scikit-learn's arithmetic on the user's own head."""

    def answers(self, texts: list[list[str]]) -> list[Any]:
        weight, bias, classes = _head(self.source.origin)
        config = read_json(self.source.origin / "config_setfit.json", dict[str, Any])
        found = []
        for text in texts:
            vector = self._vector(self.shaped(text))
            if config.get("normalize_embeddings"):
                vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
            logits = weight @ vector + bias
            logits = np.array([0.0, logits[0]]) if len(logits) == 1 else logits
            powers = np.exp(logits - logits.max())
            shares = powers / powers.sum()
            names = config.get("labels") or classes
            found.append([{"label": n, "score": float(s)} for n, s in zip(names, shares, strict=True)])
        return found


class _Static:
    """A mean over a table, as sentence-transformers' StaticEmbedding and model2vec make it."""

    def __init__(self, source: SourceJob) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        home = _places(source)[0]
        self.source, self.saved, self.name = source, _Saved(source.origin), "StaticEmbedding's arithmetic"
        self.backend = Tokenizer.from_file(str(home / "tokenizer.json"))
        self.backend.no_padding()
        weights = load_file(home / "model.safetensors")
        folded = "embedding.weight" not in weights
        table = np.asarray(weights["embeddings" if folded else "embedding.weight"], np.float64)
        table = table[weights["mapping"]] if folded and "mapping" in weights else table
        self.table = table * weights["weights"][:, None] if folded and "weights" in weights else table
        rules = tables.own_config(home)
        alone, config = rules is not None, rules or {}
        cut = self.backend.truncation
        length = tables.longest(home, cut["max_length"] if cut else None)
        self.backend.no_truncation()
        self.characters = tables.characters(home, self.backend.to_str()) or None
        if length:
            self.backend.enable_truncation(length, direction=cut["direction"] if cut else "right")
        self.normalize = bool(config.get("normalize"))
        unknown = json.loads(self.backend.to_str())["model"].get("unk_token")
        self.unknown = self.backend.token_to_id(unknown) if alone and isinstance(unknown, str) else None
        self.own: Any = None
        self.asked: dict[str, Any] = {}
        if importlib.util.find_spec("sentence_transformers") and (source.origin / "modules.json").is_file():
            from sentence_transformers import SentenceTransformer

            self.own = SentenceTransformer(str(source.origin), device="cpu", local_files_only=True)
            self.asked = {"prompt": "", "show_progress_bar": False, "convert_to_numpy": True}
            self.name = f"sentence-transformers {_version('sentence-transformers')}"
        elif alone and importlib.util.find_spec("model2vec"):
            from model2vec import StaticModel

            self.own = StaticModel.from_pretrained(str(home))
            self.name = f"model2vec {_version('model2vec')}"

    def told(self, asked: Asked) -> Told:
        rows = [self._row(self.saved.prompt + (item[0] if isinstance(item, list) else item)) for item in asked.items]
        longest = self.source.settings.max_length
        return Told(self.name, tuple(rows), (), longest, str(self.backend.to_str()), ("right", "right"))

    def _row(self, text: str) -> ToldRow:
        ids = self.backend.encode(text[: self.characters], add_special_tokens=False).ids
        if self.own is not None:
            vector = self.own.encode([text], **self.asked)[0]
            return ToldRow((tuple(ids),), None, np.asarray(vector, np.float64).tolist())
        kept = [one for one in ids if one != self.unknown]
        vector = self.table[kept].mean(axis=0) if kept else np.zeros(self.table.shape[1])
        vector = _behind(self.saved, vector)
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12) if self.normalize else vector
        return ToldRow((tuple(ids),), None, vector.tolist())


def _library(source: SourceJob) -> _Library:
    if source.kind == "setfit":
        return _SetFit(source)
    kinds = {
        "text-classification": _Classifier,
        "token-classification": _Tagger,
        "fill-mask": _Filler,
        "question-answering": _Answerer,
        "feature-extraction": _Embedder,
        "text-ranking": _Ranker,
        "zero-shot-classification": _ZeroShot,
    }
    installed = importlib.util.find_spec("sentence_transformers") is not None
    if (source.origin / "modules.json").is_file() and installed and source.task == "feature-extraction":
        return _SentenceTransformers(source)
    return kinds[source.task](source)


def _places(source: SourceJob) -> tuple[Path, ...]:
    """Where the user's own files may lie: where the transformer or the table is, then the directory itself."""
    return (_Saved(source.origin).home, source.origin)


def _model(source: SourceJob) -> Any:
    """The model of the user's directory, by the class that its configuration names."""
    import torch
    import transformers

    home = _places(source)[0]
    if source.kind == "adapter":
        return _adapted(source)
    config = read_json(home / "config.json", dict[str, Any])
    saved = str((config.get("architectures") or ["AutoModel"])[0])
    vectors = source.kind == "setfit" or source.task == "feature-extraction"
    named = body_class(home) if vectors else saved
    kind = getattr(transformers, named, transformers.AutoModel)
    given = {"dtype": torch.float32, "local_files_only": True}
    if not config.get(FLAG):
        return kind.from_pretrained(str(home), **given).eval()
    # What no configuration of transformers can say, and what its classes compute all the same
    model, info = kind.from_pretrained(str(home), output_loading_info=True, ignore_mismatched_sizes=True, **given)
    mend(model, home, info["mismatched_keys"])
    return model.eval()


def _adapted(source: SourceJob) -> Any:
    """The base with the adapter beside its weights, as it ran while it was trained: nothing is merged."""
    import torch
    import transformers
    from safetensors.torch import load_file

    config = read_json(source.directory / "config.json", dict[str, Any])
    own = _json(source.origin / "adapter_config.json")
    kind = getattr(transformers, str(config["architectures"][0]))
    labels = {"num_labels": len(source.settings.labels)} if source.settings.labels else {}
    base = str(lora.base_of(source.origin))
    model = kind.from_pretrained(base, dtype=torch.float32, local_files_only=True, **labels).eval()
    weights = {
        k.removeprefix("base_model.model."): v.float()
        for k, v in load_file(source.origin / "adapter_model.safetensors").items()
    }
    model.load_state_dict({k: v for k, v in weights.items() if ".lora_" not in k}, strict=False)
    for name in [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]:
        pair = (weights[f"{name}.lora_A.weight"], weights[f"{name}.lora_B.weight"])
        model.get_submodule(name).register_forward_hook(_beside(*pair, _strength(own, name, len(pair[0]))))
    return model


def _beside(down: Any, up: Any, strength: float) -> Callable[[Any, Any, Any], Any]:
    return lambda _, given, made: made + strength * (given[0] @ down.T @ up.T)


def _strength(own: dict[str, Any], name: str, rank: int) -> float:
    patterns = [value for key, value in (own.get("alpha_pattern") or {}).items() if re.search(rf"(^|\.){key}$", name)]
    alpha = float(patterns[0] if patterns else own["lora_alpha"])
    return alpha / rank**0.5 if own.get("use_rslora") else alpha / rank


def _pipeline(task: str, library: _Library, **given: Any) -> Any:
    from transformers import pipeline

    return pipeline(task, model=library.model, tokenizer=library.tokenizer, device="cpu", **given)


def _saved_activation(source: SourceJob) -> str:
    """The last part of the activation that a cross-encoder was saved with, by whichever of its names."""
    saved = _Saved(source.origin)
    config = _json(saved.home / "config.json")
    names = (
        (config.get("sentence_transformers") or {}).get("activation_fn"),
        config.get("sbert_ce_default_activation_function"),
        saved.activation,
    )
    return next((str(name).rpartition(".")[2] for name in names if name), "")


def _lower(tokenizer: Any) -> None:
    from tokenizers.normalizers import Lowercase, Sequence

    backend = tokenizer.backend_tokenizer
    before = backend.normalizer
    backend.normalizer = Sequence([Lowercase()] if before is None else [Lowercase(), before])


def _typed(model: Any) -> bool:
    return bool(getattr(model.config, "type_vocab_size", 0))


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _pooled(hidden: Any, modes: list[str]) -> Any:
    """Hidden states float64 (tokens, width) -> one vector, or several joined, in the order of sentence-transformers."""
    count = len(hidden)
    weights = np.arange(1, count + 1)[:, None]
    made = {
        "cls": hidden[0],
        "max": hidden.max(axis=0),
        "mean": hidden.sum(axis=0) / count,
        "mean_sqrt_len_tokens": hidden.sum(axis=0) / np.sqrt(count),
        "weightedmean": (hidden * weights).sum(axis=0) / weights.sum(),
        "lasttoken": hidden[-1],
    }
    return np.concatenate([made[mode] for mode in modes])


def _behind(saved: _Saved, vector: Any) -> Any:
    for kind, home in saved.steps:
        vector = _step(kind, vector, home)
    return vector


def _step(kind: str, vector: Any, home: Path) -> Any:
    if kind == "Normalize":
        return vector / max(float(np.linalg.norm(vector)), 1e-12)
    weights = {name: np.asarray(value, np.float64) for name, value in _arrays(home).items()}
    if kind == "LayerNorm":
        even = (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5)
        return even * weights["norm.weight"] + weights["norm.bias"]
    config = _json(home / "config.json")
    name = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    out = _activated(name, weights["linear.weight"] @ vector + weights.get("linear.bias", 0.0))
    if not config.get("use_residual"):
        return out
    return out + (weights["residual.weight"] @ vector if "residual.weight" in weights else vector)


def _activated(name: str, value: Any) -> Any:
    import torch

    kind = getattr(torch.nn, name)
    return (kind(dim=-1) if name == "Softmax" else kind())(torch.from_numpy(np.asarray(value))).numpy()


def _arrays(home: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    if (home / "model.safetensors").is_file():
        return dict(load_file(home / "model.safetensors"))
    import torch

    found = torch.load(home / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return {name: value.float().numpy() for name, value in found.items()}


def _head(origin: Path) -> tuple[Any, Any, list[str]]:
    from safetensors.numpy import load_file

    path = origin / "model_head.npz"
    found = dict(np.load(path, allow_pickle=False)) if path.is_file() else load_file(origin / "model_head.safetensors")
    weight = next(found[name] for name in ("weight", "coef", "coef_", "linear.weight") if name in found)
    bias = next(found[name] for name in ("bias", "intercept", "intercept_", "linear.bias") if name in found)
    count = max(len(weight), 2)
    classes = found["classes"].tolist() if "classes" in found else [f"LABEL_{at}" for at in range(count)]
    return np.asarray(weight, np.float64), np.asarray(bias, np.float64).reshape(-1), classes


def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)
