"""The settings of a source that are understood. What is not in the list is refused by its name, or reported.

A key is carried out (by us, or by transformers where it loads the model or the tokenizer), or has no consequence for an
answer. One that has a consequence and is carried out by nobody is in `VALUES`, with the values that change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["KEYS", "VALUES", "check_keys", "check_values", "read_json"]

_TEXT = {"method": "forward"}

KEYS: dict[str, frozenset[str]] = {
    "config_sentence_transformers.json": frozenset(
        {
            *("__version__", "prompts", "default_prompt_name", "model_type", "activation_fn"),
            "similarity_fn_name",  # of what is done with vectors later
        }
    ),
    "sentence_bert_config.json": frozenset(
        {
            *("max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name"),
            *("processing_kwargs", "query_length", "document_length", "query_expansion"),
            *("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"),
            "unpad_inputs",  # of speed
        }
    ),
    "Pooling": frozenset(
        {
            *("pooling_mode", "pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_tokens"),
            *("pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"),
            *("include_prompt", "word_embedding_dimension", "embedding_dimension"),
        }
    ),
    "Dense": frozenset(
        {
            *("in_features", "out_features", "bias", "activation_function", "use_residual"),
            *("module_input_name", "module_output_name"),
        }
    ),
    "LayerNorm": frozenset({"dimension"}),
    "Normalize": frozenset({"module_input_name", "module_output_name"}),
    "adapter_config.json": frozenset(
        {
            *("peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "rank_pattern", "alpha_pattern"),
            *("use_rslora", "fan_in_fan_out", "modules_to_save", "bias", "use_dora", "layer_replication"),
            *("trainable_token_indices", "target_parameters", "megatron_config", "alora_invocation_tokens"),
            *("arrow_config", "use_qalora", "use_bdlora", "monteclora_config", "kasa_config", "velora_config"),
            *("lora_bias", "ensure_weight_tying"),
            # of training, of where it came from, or of how it begins
            *("auto_mapping", "task_type", "inference_mode", "lora_dropout", "target_modules", "exclude_modules"),
            *("init_lora_weights", "layers_to_transform", "layers_pattern", "peft_version", "megatron_core"),
            *("loftq_config", "corda_config", "eva_config", "lora_ga_config", "qalora_group_size", "runtime_config"),
        }
    ),
    "config_setfit.json": frozenset({"normalize_embeddings", "labels", "multi_target_strategy", "span_context"}),
}
"""By file, or by module: every key that has a meaning here."""

VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "sentence_bert_config.json": {
        "transformer_task": ("feature-extraction", "sequence-classification"),
        "modality_config": (
            {"text": {**_TEXT, "method_output_name": "last_hidden_state"}},
            {"text": {**_TEXT, "method_output_name": "logits"}},
        ),
        "module_output_name": ("token_embeddings", "scores"),
        "processing_kwargs": ({},),
        "query_length": (),
        "document_length": (),
        "query_expansion": (),
        **dict.fromkeys(
            ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"), ({},)
        ),
    },
    "adapter_config.json": {
        "peft_type": ("LORA",),
        "bias": ("none", "all", "lora_only"),
        "use_dora": (False,),
        "lora_bias": (False,),
        "use_qalora": (False,),
        "use_bdlora": (False,),
        "ensure_weight_tying": (False, True),
        **dict.fromkeys(
            ("layer_replication", "trainable_token_indices", "target_parameters", "megatron_config"), ({}, [])
        ),
        **dict.fromkeys(
            ("alora_invocation_tokens", "arrow_config", "monteclora_config", "kasa_config", "velora_config"), ({}, [])
        ),
    },
    "config_setfit.json": {"multi_target_strategy": (), "span_context": (0,)},
    "tokenizer_config.json": {"split_special_tokens": (False,)},
    "config.json": {"function_to_apply": (), "adapters": ({},)},
}
"""Of keys that have a consequence which is carried out for some values alone: those. Null is always one of them."""


def read_json(path: Path, kind: Any) -> Any:
    """A JSON file of the source as a value of `kind`. Raises SourceError, which names the field."""
    try:
        return msgspec.json.decode(read_capped(path, MAX_JSON_BYTES, SourceError), type=kind)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise SourceError(
            f"{path} cannot be read: {error}", hint="is it a Hugging Face model, whole and undamaged?"
        ) from error


def check_keys(file: str, config: Mapping[str, Any], path: Path) -> None:
    """Refuse a key of `path` that is none of `KEYS[file]`, and a value of it that is not carried out.

    Raises:
        UnsupportedConversion: names the file, the key and its value.
    """
    strangers = sorted(key for key, value in config.items() if key not in KEYS[file] and value is not None)
    if strangers:
        key = strangers[0]
        what = f"{path} has {key} = {_shown(config[key])}, which edgewright does not carry out"
        raise UnsupportedConversion(what, hint="take it out of the file if it changes no answer")
    check_values(file, config, path)


def check_values(file: str, config: Mapping[str, Any], path: Path) -> None:
    """Refuse a value of `path` that is none of `VALUES[file]`. Raises UnsupportedConversion."""
    for key, known in VALUES.get(file, {}).items():
        value = config.get(key)
        if value is not None and value not in known:
            what = f"{path} has {key} = {_shown(value)}, which edgewright does not carry out"
            shown = " or ".join(_shown(one) for one in known) or "nothing"
            raise UnsupportedConversion(what, hint=f"carried out: {shown}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
