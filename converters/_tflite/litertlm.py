"""The file for LiteRT-LM, by its own builder: metadata, tokenizer, and the model, which is not looked into.

LiteRT-LM (0.18) runs the signatures `decode` and `prefill_N` by the names that `decoder.py` gives their inputs. A last
chunk that is not full it fills up with zeros, which are written over later where there is room for a whole chunk: so
it is told of a context that is a chunk shorter than the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ai_edge_litert import schema_py_generated as schema

from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.exporting.litertlm import LitertlmRequest
    from edgewright.generation.sampling import Sampling

__all__ = ["export"]

_CHUNK = "prefill_"
_ALL = 2**31 - 1
"""Of the likeliest tokens: LiteRT-LM has no number for all of them, and takes none below 1."""


def export(request: LitertlmRequest, progress: Callable[[str], None]) -> None:
    """Write the file that is asked for. Raises UnsupportedConversion where the cache holds no second chunk."""
    from litert_lm_builder import LitertLmFileBuilder, TfLiteModelType

    chunk = _chunk(request.artifact)
    if request.slots < 2 * chunk:
        what = f"the cache has room for {request.slots} tokens, LiteRT-LM reads {chunk} at once"
        raise UnsupportedConversion(what, hint=f"build a model of at least {2 * chunk} tokens")
    progress("pack model and tokenizer")
    metadata = request.out.with_suffix(".pb")
    metadata.write_bytes(_metadata(request, request.slots - chunk).SerializeToString())
    builder = LitertLmFileBuilder()
    builder.add_llm_metadata(str(metadata))
    builder.add_hf_tokenizer(str(request.tokenizer))
    builder.add_tflite_model(str(request.artifact), TfLiteModelType.PREFILL_DECODE)
    with request.out.open("wb") as file:
        builder.build(file)


def _chunk(artifact: Path) -> int:
    """How many tokens of a prompt the model reads at once. Raises UnsupportedConversion where it reads no chunks."""
    model = schema.Model.GetRootAs(artifact.read_bytes())
    keys = [model.SignatureDefs(at).SignatureKey().decode() for at in range(model.SignatureDefsLength())]
    chunks = [key.removeprefix(_CHUNK) for key in keys if key.startswith(_CHUNK)]
    if "decode" not in keys or not all(map(str.isdecimal, chunks)) or not chunks:
        what = f"the artifact has the signatures {', '.join(keys) or 'none'}"
        raise UnsupportedConversion(f"{what}; decode and prefill_N are wanted", hint="build the bundle again")
    return int(chunks[0])


def _metadata(request: LitertlmRequest, context: int) -> Any:
    """What LiteRT-LM is told of a model (llm_metadata.proto)."""
    from litert_lm_builder.runtime.proto import llm_metadata_pb2, llm_model_type_pb2

    made = llm_metadata_pb2.LlmMetadata(max_num_tokens=context)
    if request.start is not None:
        made.start_token.token_ids.ids.append(request.start)
    for end in request.ends:
        made.stop_tokens.add().token_ids.ids.append(end)
    if request.template:
        made.jinja_prompt_template = request.template
    kind = llm_model_type_pb2
    made.llm_model_type.CopyFrom(kind.LlmModelType(generic_model=kind.GenericModel()))
    _choose(made.sampler_params, request.sampling)
    return made


def _choose(said: Any, sampling: Sampling) -> None:
    """How tokens are chosen where a client does not say: one of one is greedy, of which it knows the name alone."""
    from litert_lm_builder.runtime.proto.sampler_params_pb2 import SamplerParameters

    greedy = sampling.temperature == 0 or sampling.top_k == 1
    said.type, said.p, said.temperature = SamplerParameters.TOP_P, sampling.top_p, sampling.temperature or 1.0
    said.k = 1 if greedy else sampling.top_k or _ALL
