"""A GGUF file, as llama.cpp's converter writes it, of a small random Llama or LFM2."""

import numpy as np
from llama2c import VOCABULARY


def gguf_file(path, kind, family="llama"):
    """Write one whose products have the type `kind`, such as Q4_1; of LFM2 the first layer is a convolution."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    kind, table = GGMLQuantizationType[kind], GGMLQuantizationType.Q8_0
    width, inner, heads, words = 64, 96, 4, len(VOCABULARY)
    writer, hybrid = GGUFWriter(str(path), family), family == "lfm2"
    for add, value in (
        (writer.add_block_count, 2),
        (writer.add_context_length, 128),
        (writer.add_embedding_length, width),
        (writer.add_feed_forward_length, inner),
        (writer.add_head_count, heads),
        (writer.add_head_count_kv, [0, 2] if hybrid else 2),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_rope_freq_base, 10000.0),
        (writer.add_rope_dimension_count, width // heads),
        (writer.add_vocab_size, words),
        (writer.add_tokenizer_model, "llama"),
        (writer.add_token_list, [text.replace(" ", "\u2581") for text in VOCABULARY]),
        (writer.add_token_scores, [-float(at) for at in range(words)]),
        (writer.add_token_types, [2, 3, 3, *[6] * 256, *[1] * (words - 259)]),
        (writer.add_bos_token_id, 1),
        (writer.add_eos_token_id, 2),
    ):
        add(value)
    if hybrid:
        writer.add_shortconv_l_cache(3)
    attention = {"attn_q": (width, width), "attn_k": (32, width), "attn_v": (32, width), "attn_output": (width, width)}
    convolution = {"shortconv.in_proj": (3 * width, width), "shortconv.out_proj": (width, width)}
    shapes = {"ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}
    random = np.random.default_rng(1)
    writer.add_tensor("token_embd_norm.weight" if hybrid else "output_norm.weight", np.ones(width, np.float32))
    tables = {"token_embd.weight": (words, width)}
    for at, mixer in enumerate((convolution if hybrid else attention, attention)):
        tables |= {f"blk.{at}.{name}.weight": shape for name, shape in (mixer | shapes).items()}
    if hybrid:
        taps = random.normal(scale=0.5, size=(width, 3)).astype(np.float32)
        writer.add_tensor("blk.0.shortconv.conv.weight", taps)
        for name in ("attn_q_norm", "attn_k_norm"):
            writer.add_tensor(f"blk.1.{name}.weight", np.ones(width // heads, np.float32))
    for name, shape in tables.items():
        how = table if name == "token_embd.weight" else kind
        value = random.normal(scale=0.2, size=shape).astype(np.float32)
        writer.add_tensor(name, quants.quantize(value, how), raw_dtype=how)
    for at in range(2):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{at}.{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
