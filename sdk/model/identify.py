"""What a directory is, said in one line before anything is read in earnest: kind, what can be done with it, and how.

Only names of files and small JSON files are looked at; nothing is loaded, nothing is run.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgewright import registry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENCODERS", "TRANSLATORS", "Identity", "identify", "task_of"]

_UNNAMED = "a task that you name with --task"

_LARGEST_JSON = 1 << 22
"""Bytes. A choice: configurations take some kilobytes, a list of labels some hundred."""
_FILES = {
    ".onnx": ("an ONNX file, already converted", "edgewright builds from the model it was made of"),
    ".ort": ("an ONNX Runtime file, already converted", "edgewright builds from the model it was made of"),
    ".tflite": ("a TFLite file, already converted", "edgewright builds from the model it was made of"),
    ".pte": ("an ExecuTorch file, already converted", "edgewright builds from the model it was made of"),
    ".ptl": ("a lite interpreter's file, already converted", "edgewright builds from the model it was made of"),
    ".safetensors": ("a file of weights alone", "give the directory that holds config.json and the weights"),
    ".bin": ("a file of weights alone", "give the directory that holds config.json and the weights"),
    ".h5": ("weights of Keras 2 or of old transformers", "save it with model.save('MODEL.keras')"),
    ".ckpt": ("a checkpoint of a trainer, a pickle", "load it where it was trained and call save_pretrained"),
    ".pt": ("a pickle of torch", "load it where it was trained and call save_pretrained"),
    ".pth": ("a pickle of torch", "load it where it was trained and call save_pretrained"),
    ".pkl": ("a pickle, which is a program and is never run", "save its numbers as .safetensors or .npz"),
}
"""By suffix: what a file is, and what to do; what a directory without a configuration holds is told by them, too."""
_WEIGHTS = {
    "tf_model.h5": "weights of TensorFlow, which transformers 5 no longer reads",
    "flax_model.msgpack": "weights of Flax, which transformers 5 no longer reads",
    "model.ckpt.index": "a checkpoint of TensorFlow 1",
}
_WRITERS = ("ForConditionalGeneration", "MTModel")
TRANSLATORS = ("marian", "t5")
"""Families of encoder-decoders that are converted, see `edgewright.converters._translator.families`."""
_FIRST = ("Transformer", "StaticEmbedding", "CLIPModel")
ENCODERS = ("t5", "mt5", "umt5")
"""Families whose encoder alone makes embeddings (transformers, AutoModelForTextEncoding)."""


class Identity(Struct, frozen=True):
    """What a path holds.

    Attributes:
        kind: one word for programs, such as `model`, `adapter`, `static`, `bundle`, `gguf`, `nothing`.
        what: the same for people, with the names that tell it.
        then: what edgewright does with it, or what to do where it does nothing.
        command: the command that takes it, "" where there is none yet.
        inside: where in the directory the transformer or the table lies, "" for the directory itself.
    """

    kind: str
    what: str
    then: str
    command: str = ""
    inside: str = ""

    def __repr__(self) -> str:
        from edgewright.system.shown import brief

        return brief(self, self.kind, self.what)

    @property
    def taken(self) -> bool:
        """Whether `build` takes it as a source of transformers or sentence-transformers."""
        return self.kind in ("model", "adapter", "sentence", "static", "setfit")

    @property
    def advice(self) -> str:
        """What to do, with its command."""
        return f"{self.then}: {self.command}" if self.command else self.then

    def line(self, path: str | Path) -> str:
        """All of it in one line."""
        return f"{path} is {self.what}; {self.advice}"


def identify(path: str | Path) -> Identity:
    """Say what `path`, a file or a directory, is. Raises nothing that its contents cause."""
    place = Path(path)
    if place.is_file():
        return _file(place)
    if not place.is_dir():
        return Identity("nothing", "no file and no directory here", "give a model directory or a hub id")
    found = next((one for look in _LOOKS if (one := look(place))), None)
    return found or _unknown(place)


def _file(path: Path) -> Identity:
    if path.suffix == ".keras":
        ask = f"edgewright build {path} --format tflite --tokenizer DIR --task TASK --out BUNDLE"
        return Identity("keras", "a Keras model", "build takes it with a tokenizer and a task", ask)
    if path.suffix == ".gguf":
        return Identity("gguf", "a GGUF file, llama.cpp's", "build takes it", _build(path))
    if path.suffix == ".bin" and len(_vocabularies(path.parent)) == 1 and path not in _vocabularies(path.parent):
        return Identity("llama2c", "a checkpoint of llama2.c", "build takes it", _build(path))
    if path.suffix in _FILES:
        what, then = _FILES[path.suffix]
        return Identity(path.suffix[1:], what, then)
    if path.name.endswith((".tar", ".tar.gz", ".zip", ".edgewright")):
        return Identity("packed", "a packed file", "unpack it first, if it is a bundle: edgewright verify opens it")
    return Identity("file", "a file", "give the directory that holds config.json and the weights")


def _bundle(place: Path) -> Identity | None:
    if "artifacts" not in _json(place / "manifest.json"):
        return None
    ask = f"edgewright run {place} TEXT"
    return Identity("bundle", "a bundle of edgewright", "it is built already: run, eval, bench and flash take it", ask)


def _adapter(place: Path) -> Identity | None:
    if not (place / "adapter_config.json").is_file():
        return None
    config = _json(place / "adapter_config.json")
    kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
    what = f"an adapter of kind {kind} (adapter_config.json) for the base {base or 'that it does not name'}"
    if kind == "LORA":
        return Identity("adapter", what, "build merges it into its base, where that is at hand", _build(place))
    hint = "merge it where it was trained (peft's merge_and_unload) and call save_pretrained"
    return Identity("foreign-adapter", what, hint)


def _sentence(place: Path) -> Identity | None:
    """A model of sentence-transformers, by modules.json; or, where that names a head, of SetFit."""
    if not (place / "modules.json").is_file():
        return None
    modules = _json_list(place / "modules.json")
    first = modules[0] if modules and isinstance(modules[0], dict) else {}
    name, inside = str(first.get("type", "nothing")).rpartition(".")[2], str(first.get("path", ""))
    if name not in _FIRST or ".." in Path(inside).parts or Path(inside).is_absolute():
        known = ", ".join(_FIRST)
        then = f"its first module is none of {known}: such a model has no artifact yet"
        return Identity("foreign-sentence", f"a sentence-transformers model that begins with {name}", then)
    if (place / "config_setfit.json").is_file() or any(place.glob("model_head.*")):
        then = "build takes its embeddings and its linear head, where the head is no pickle"
        return Identity("setfit", "a SetFit model: sentence-transformers with a head", then, _build(place), inside)
    if name == "StaticEmbedding":
        return Identity(
            "static", "a model of static embeddings", "build makes a table and a mean", _build(place), inside
        )
    if inside and not (place / inside / "config.json").is_file():
        then = f"modules.json names {inside}, which has no config.json; copy or download the model again"
        return Identity("broken-sentence", "a sentence-transformers model that is not whole", then)
    what = f"a sentence-transformers model of {' and '.join(_kinds(modules))}"
    return Identity("sentence", what, "build takes it with its modules", _build(place), inside)


def _kinds(modules: list[Any]) -> list[str]:
    return [str(one.get("type", "nothing")).rpartition(".")[2] for one in modules if isinstance(one, dict)]


def _static(place: Path) -> Identity | None:
    """A directory of model2vec: one table, and a configuration that names no architecture of transformers."""
    config = _json(place / "config.json")
    if config.get("model_type") != "model2vec" and config.get("architectures") != ["StaticModel"]:
        return None
    return Identity(
        "static", "a model of static embeddings (model2vec)", "build makes a table and a mean", _build(place)
    )


def _strange(place: Path) -> Identity | None:
    """A configuration of what is not taken: code from strangers, weights that are quantized already."""
    config = _json(place / "config.json")
    kind = config.get("model_type")
    if "auto_map" in config and not _known(kind):
        named = config["auto_map"].values() if isinstance(config["auto_map"], dict) else ["?"]
        files = ", ".join(sorted({f"{str(one).partition('.')[0]}.py" for one in named}))
        then = (
            "edgewright never runs code from strangers; load it where you trust that code, and build from the "
            "torch.nn.Module with edgewright.build(module, example_inputs=..., tokenizer=..., task=...)"
        )
        return Identity("custom-code", f"a model of custom code (auto_map: {files})", then)
    quantized = config.get("quantization_config")
    if quantized:
        way = quantized.get("quant_method", "?") if isinstance(quantized, dict) else "?"
        then = "build from the model in float that it was made of, or dequantize it and call save_pretrained"
        return Identity("quantized", f"a checkpoint whose weights are quantized already ({way})", then)
    return None


def _model(place: Path) -> Identity | None:
    if not (place / "config.json").is_file():
        return None
    config = _json(place / "config.json")
    architecture = _architecture(config)
    what = f"a Hugging Face model, {architecture}"
    if (place / "trainer_state.json").is_file():
        what += " (a checkpoint of a Trainer)"
    if not any(any(place.glob(kind)) for kind in ("*.safetensors", "pytorch_model*.bin")):
        other = next((words for name, words in _WEIGHTS.items() if (place / name).is_file()), "")
        then = "load it with an older transformers and save_pretrained"
        return Identity("foreign-weights", f"a model with {other}", then) if other else None
    if architecture.endswith(_WRITERS) and config.get("model_type") not in TRANSLATORS:
        then = f"an encoder-decoder that writes text: of those {' and '.join(TRANSLATORS)} are taken"
        return Identity("translator", what, then, "")
    return Identity("model", what, f"build makes artifacts for {task_of(architecture) or _UNNAMED}", _build(place))


def _architecture(config: dict[str, Any]) -> str:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else "unknown"


def task_of(architecture: str) -> str | None:
    """The task of an architecture: that of the longest ending, as `GPT2LMHeadModel` is no `Model`; None of no known."""
    kinds = [(name, registry.load("tasks", name).heads) for name in registry.names("tasks")]
    fits = [(len(head), name) for name, heads in kinds for head in heads if architecture.endswith(head)]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None


def _keras(place: Path) -> Identity | None:
    if not (place / "saved_model.pb").is_file():
        return None
    ask = f"edgewright build {place} --format tflite --tokenizer DIR --task TASK --out BUNDLE"
    return Identity("keras", "a SavedModel of TensorFlow", "build takes it with a tokenizer and a task", ask)


def _checkpoints(place: Path) -> Identity | None:
    """A trainer's output directory, whose checkpoints are the models."""
    found = sorted(place.glob("checkpoint-*/config.json"), key=lambda path: (len(path.parent.name), path.parent.name))
    if not found or (place / "config.json").is_file():
        return None
    last = found[-1].parent
    what = f"the output of a Trainer with {len(found)} checkpoint{'s' * (len(found) > 1)}"
    return Identity("checkpoints", what, f"take the best, or the last one, {last.name}", _build(last))


def _packed(place: Path) -> Identity | None:
    """A directory beside whose one file of a whole model, a GGUF or a checkpoint of llama2.c, no configuration lies."""
    if (place / "config.json").is_file():
        return None
    found = [file for file in sorted(place.iterdir()) if file.suffix in (".gguf", ".bin") and file.is_file()]
    models = [(file, said) for file in found if (said := _file(file)).kind in ("gguf", "llama2c")]
    if not models:
        return None
    file, said = models[0]
    more = f", one of {len(models)}" if len(models) > 1 else ""
    what = f"a directory with {file.name}{more}, {said.what}"
    return Identity(said.kind, what, "build takes the file itself", said.command)


def _vocabularies(place: Path) -> list[Path]:
    """llama2.c's own, as `edgewright.model.checkpoint` looks for them beside a checkpoint."""
    return sorted(place.glob("tok*.bin"))


def _converted(place: Path) -> Identity | None:
    """A directory that holds files of one of the kinds above, and no configuration that would come first."""
    for suffix, (what, then) in _FILES.items():
        if suffix in (".safetensors", ".bin"):
            continue  # weights of what, no file says
        files = sorted(place.glob(f"*{suffix}"))
        if files and not (place / "config.json").is_file():
            return Identity(suffix[1:], f"a directory with {files[0].name}, {what}", then)
    return None


def _unknown(place: Path) -> Identity:
    names = sorted(path.name for path in place.iterdir())
    if not names:
        return Identity("empty", "empty", "save a model there with save_pretrained")
    if "config.json" in names:
        return Identity("model", "a directory with config.json", "save a model there with save_pretrained")
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    what = f"a directory that has no config.json, modules.json or adapter_config.json ({shown})"
    return Identity("unknown", what, "save a model there with save_pretrained")


_LOOKS: tuple[Callable[[Path], Identity | None], ...] = (
    _bundle,
    _keras,
    _adapter,
    _sentence,
    _static,
    _strange,
    _model,
    _checkpoints,
    _packed,
    _converted,
)
"""In this order: what is more particular comes first."""


def _build(place: Path) -> str:
    return f"edgewright build {place} --out BUNDLE"


def _known(kind: Any) -> bool:
    """Whether transformers has this family itself, by the names of its own folders: nothing is imported."""
    spec = importlib.util.find_spec("transformers")
    if not isinstance(kind, str) or spec is None or not spec.origin:
        return False
    name = kind.replace("-", "_")
    return name.isidentifier() and (Path(spec.origin).parent / "models" / name).is_dir()


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, {} where there is none: whoever reads in earnest says what is wrong with it."""
    found = _read(path)
    return found if isinstance(found, dict) else {}


def _json_list(path: Path) -> list[Any]:
    found = _read(path)
    return found if isinstance(found, list) else []


def _read(path: Path) -> Any:
    try:
        if path.is_file() and path.stat().st_size <= _LARGEST_JSON:
            return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return None
