"""Sizes of models held against transformers' own classes, by a table that was made of them: `sizes.json`.

Made anew by `python tests/model/test_sizes.py`.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from edgewright.inference.footprint import kv_cache_bytes
from edgewright.measure.roofline import encoder_macs
from edgewright.model.sizes import NAMES, Sizes

TABLE = Path(__file__).with_name("sizes.json")
ROWS = json.loads(TABLE.read_text()) if TABLE.exists() else {}

KINDS = {
    **{name: {} for name in ("Bert", "CLIPText", "DistilBert", "Albert", "MobileBert", "Electra", "Roberta", "MPNet")},
    **{name: {} for name in ("ModernBert", "XLNet", "GPT2", "Llama", "Mistral", "Qwen2", "Qwen3", "Phi", "Phi3")},
    **{name: {} for name in ("Gemma", "Gemma2", "OPT", "GPTNeoX", "GPTNeo", "T5", "Bart", "Marian", "CLIP")},
    "GPT2 with its own inner width": {"n_embd": 96, "n_inner": 200, "n_layer": 3, "n_head": 6, "n_positions": 70},
    "DistilBert of odd sizes": {"dim": 96, "hidden_dim": 200, "n_layers": 3, "n_heads": 6},
    "Qwen2 of shared keys": {"hidden_size": 896, "num_attention_heads": 14, "num_key_value_heads": 2},
    "Qwen3 of wide heads": {"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128},
    "OPT of a narrow table": {"hidden_size": 1024, "word_embed_proj_dim": 512, "ffn_dim": 4096},
    "T5 of odd sizes": {"d_model": 384, "d_kv": 64, "num_layers": 8, "num_decoder_layers": 4, "num_heads": 4},
    "Bart of odd sizes": {
        "encoder_layers": 12, "decoder_layers": 3, "encoder_ffn_dim": 500, "decoder_ffn_dim": 300,
        "encoder_attention_heads": 8, "decoder_attention_heads": 4, "d_model": 64,
    },
}  # fmt: skip
"""Classes of transformers' configurations, and what is not their default."""

INNER = {"distilbert": "hidden_dim", "gpt2": "n_inner", "t5": "d_ff", "opt": "ffn_dim", "xlnet": "d_inner"}
INNER |= dict.fromkeys(("bart", "marian"), "encoder_ffn_dim")
"""The one size that no `attribute_map` gives a common name; all others have `intermediate_size`."""

EMBEDDING = {"opt": "word_embed_proj_dim", **dict.fromkeys(("albert", "electra", "mobilebert"), "embedding_size")}


def told(config):
    """What transformers says of a configuration, by its common names, as `asdict(Sizes)`."""
    config = getattr(config, "text_config", config)
    kind, width, heads = config.model_type, config.hidden_size, config.num_attention_heads
    inner = getattr(config, INNER.get(kind, "intermediate_size"), None) or 4 * width
    both = config.is_encoder_decoder
    layers = config.num_hidden_layers
    return {
        "width": width,
        "inner": inner,
        "layers": layers,
        "heads": heads,
        "key_value_heads": getattr(config, "num_key_value_heads", None) or heads,
        "head_dim": getattr(config, "head_dim", None) or getattr(config, "true_hidden_size", width) // heads,
        "vocabulary": config.vocab_size,
        "embedding": getattr(config, EMBEDDING.get(kind, "hidden_size")),
        "positions": getattr(config, "max_position_embeddings", 0) if kind != "xlnet" else 0,  # it says -1: none
        "decoder_layers": getattr(config, "decoder_layers", None) or config.num_decoder_layers if both else 0,
        "decoder_heads": getattr(config, "decoder_attention_heads", heads) if both else 0,
        "decoder_inner": getattr(config, "decoder_ffn_dim", inner) if both else 0,
    }


def rows():
    """The table: of each configuration the file that transformers writes, without what is no size, and the sizes."""
    import transformers

    found = {}
    for name, given in KINDS.items():
        config = getattr(transformers, f"{name.split()[0]}Config")(**given)
        found[name] = {"config": pruned(json.loads(config.to_json_string())), "sizes": told(config)}
    return found


def pruned(tree):
    """Numbers and nulls at the top and of a text model, with what tells the kind."""
    kept = ("model_type", "is_encoder_decoder", "text_config")
    numbers = {key: value for key, value in tree.items() if value is None or type(value) is int or key in kept}
    return numbers | ({"text_config": pruned(tree["text_config"])} if "text_config" in tree else {})


@pytest.mark.parametrize("name", KINDS)
def test_the_sizes_of_a_file_are_those_of_transformers(name):
    assert asdict(Sizes.of(ROWS[name]["config"])) == ROWS[name]["sizes"]


@pytest.mark.slow
def test_the_table_is_what_transformers_says_now():
    assert json.loads(json.dumps(rows())) == ROWS


@pytest.mark.slow
def test_inner_states_that_no_file_tells_are_those_of_the_layers():
    import torch
    import transformers

    with torch.device("meta"):
        gpt2 = transformers.GPT2Model(transformers.GPT2Config(n_layer=1, vocab_size=8))
        neo = transformers.GPTNeoModel(transformers.GPTNeoConfig(num_layers=1, attention_types=[[["global"], 1]]))
        mobile = transformers.MobileBertModel(transformers.MobileBertConfig(num_hidden_layers=1, vocab_size=8))
    assert gpt2.h[0].mlp.c_fc.weight.shape[1] == ROWS["GPT2"]["sizes"]["inner"]
    assert neo.h[0].mlp.c_fc.out_features == ROWS["GPTNeo"]["sizes"]["inner"]
    assert mobile.encoder.layer[0].attention.self.attention_head_size == ROWS["MobileBert"]["sizes"]["head_dim"]


def test_what_a_file_leaves_out_or_says_wrong_counts_as_not_told():
    assert Sizes.of({}) == Sizes()
    assert Sizes.of({"hidden_size": "96", "num_attention_heads": True, "vocab_size": -1}) == Sizes()
    assert Sizes.of({"hidden_size": 96, "num_attention_heads": 0}) == Sizes(width=96, embedding=96)
    assert Sizes.of({"text_config": {"text_config": {}, "hidden_size": 96}}).width == 96


def test_gpt2s_oldest_files_have_no_inner_width_and_null_is_the_same():
    old = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024}
    assert Sizes.of(old).inner == Sizes.of({**old, "n_inner": None}).inner == 3072
    assert Sizes.of({"hidden_size": 768}).inner == 0


def test_barts_old_files_name_the_layers_twice():
    old = {
        "d_model": 768,
        "encoder_layers": 6,
        "num_hidden_layers": 12,
        "is_encoder_decoder": True,
        "decoder_layers": 3,
    }
    assert (Sizes.of(old).layers, Sizes.of(old).decoder_layers) == (6, 3)


def test_every_size_has_names_and_no_name_two_sizes():
    assert set(NAMES) == set(asdict(Sizes()))
    names = [name for each in NAMES.values() for name in each]
    assert len(names) == len(set(names))


def test_a_cache_is_of_the_heads_that_keys_and_values_have():
    gpt2 = {**ROWS["GPT2"]["config"], "architectures": ["GPT2LMHeadModel"]}
    wide = {**ROWS["Qwen3 of wide heads"]["config"], "architectures": ["Qwen3ForCausalLM"]}
    assert kv_cache_bytes(gpt2, 10) == 2 * 12 * 768 * 10 * 4
    assert kv_cache_bytes(wide, 10) == 2 * 32 * 8 * 128 * 10 * 4
    assert kv_cache_bytes({**gpt2, "num_key_value_heads": None}, 10) == kv_cache_bytes(gpt2, 10)


def test_the_products_of_a_layer_follow_from_the_heads():
    shared = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 4}
    assert encoder_macs(shared, 1) == (4 * 8 * 8 + 2 * 8 * 16, 16)
    assert encoder_macs({**shared, "num_key_value_heads": 1}, 1) == (2 * 8 * 8 + 2 * 8 * 2 + 2 * 8 * 16, 16)
    assert (
        encoder_macs({"d_model": 8, "num_layers": 1, "d_ff": 16, "num_heads": 2, "d_kv": 8}, 1)[0] == 4 * 8 * 16 + 256
    )


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows().items())
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
