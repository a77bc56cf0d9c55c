"""The GGUF file of a BERT encoder, read back by a reader that shares no code with the writer."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import gguf_bert


class Reader:
    """GGUF 3 as ggml's docs/gguf.md has it."""

    def __init__(self, data):
        self.data, self.at = data, 0
        magic, version, tensors, keys = self.take("4sIQQ")
        assert (magic, version) == (b"GGUF", 3)
        self.keys = {self.text(): self.value(self.take("I")[0]) for _ in range(keys)}
        found = [(self.text(), self.shape(), *self.take("IQ")) for _ in range(tensors)]
        start = self.at + -self.at % 32
        self.tensors = {}
        for name, shape, kind, offset in found:
            assert (kind, offset % 32) == (0, 0)
            flat = np.frombuffer(data, "<f4", count=int(np.prod(shape)), offset=start + offset)
            self.tensors[name] = flat.reshape(shape[::-1])
            self.end = start + offset + flat.nbytes + -flat.nbytes % 32

    def take(self, layout):
        size = struct.calcsize(f"<{layout}")
        self.at += size
        return struct.unpack(f"<{layout}", self.data[self.at - size : self.at])

    def text(self):
        return self.take(f"{self.take('Q')[0]}s")[0].decode()

    def shape(self):
        return self.take(f"{self.take('I')[0]}Q")

    def value(self, kind):
        if kind == 9:
            inner, count = self.take("IQ")
            return [self.value(inner) for _ in range(count)]
        return self.text() if kind == 8 else self.take({4: "I", 5: "i", 6: "f", 7: "?"}[kind])[0]


@pytest.fixture
def read(tmp_path):
    return lambda: Reader((tmp_path / "m.gguf").read_bytes())


GOLDEN = """
47475546 03000000 0100000000000000 0200000000000000
0100000000000000 61 04000000 07000000
0100000000000000 62 09000000 08000000 0200000000000000 0100000000000000 78 0200000000000000 c3a9
0100000000000000 74 02000000 0300000000000000 0100000000000000 00000000 0000000000000000
0000
0000803f 00000040 00004040 0000000000000000000000000000000000000000
"""


def test_exact_bytes(tmp_path):
    gguf_bert.write(tmp_path / "m.gguf", {"a": np.uint32(7), "b": ["x", "é"]}, {"t": np.array([[1, 2, 3]], "<f4")})
    assert (tmp_path / "m.gguf").read_bytes() == bytes.fromhex(GOLDEN)


def test_a_model_comes_back(source_dir, tmp_path, read):
    gguf_bert.convert(source_dir, tmp_path / "m.gguf", "cls")
    found, weights = read(), load_file(source_dir / "model.safetensors")
    assert found.end == len(found.data)
    assert found.keys["general.architecture"] == "bert"
    assert found.keys["bert.pooling_type"] == 2
    assert found.keys["bert.attention.causal"] is False
    sizes = {
        "block_count": "num_hidden_layers",
        "attention.head_count": "num_attention_heads",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "context_length": "max_position_embeddings",
    }
    config = json.loads((source_dir / "config.json").read_text())
    assert {name: found.keys[f"bert.{name}"] for name in sizes} == {name: config[key] for name, key in sizes.items()}
    same = {
        "token_embd.weight": "embeddings.word_embeddings.weight",
        "token_embd_norm.bias": "embeddings.LayerNorm.bias",
        "blk.1.attn_q.weight": "encoder.layer.1.attention.self.query.weight",
        "blk.1.attn_output_norm.weight": "encoder.layer.1.attention.output.LayerNorm.weight",
        "blk.0.ffn_up.bias": "encoder.layer.0.intermediate.dense.bias",
        "blk.0.ffn_down.weight": "encoder.layer.0.output.dense.weight",
    }
    for ours, theirs in same.items():
        assert np.array_equal(found.tensors[ours], weights[f"bert.{theirs}"]), ours
    left_out = ("bert.pooler", "classifier")
    assert len(found.tensors) == len([key for key in weights if not key.startswith(left_out)])


def test_the_vocabulary_keeps_its_ids_and_marks_the_beginnings_of_words(source_dir, tmp_path, read):
    gguf_bert.convert(source_dir, tmp_path / "m.gguf", "mean")
    found, ids = read().keys, json.loads((source_dir / "tokenizer.json").read_text())["model"]["vocab"]
    tokens, kinds = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert len(tokens) == len(kinds) == len(ids) == len(set(tokens))
    assert (tokens[ids["[CLS]"]], kinds[ids["[CLS]"]]) == ("[CLS]", 3)
    piece, word = (next(t for t in ids if t.startswith(start)) for start in ("##", "the"))
    assert (tokens[ids[piece]], kinds[ids[piece]]) == (piece[2:], 1)
    assert tokens[ids[word]] == f"\u2581{word}"
    assert found["tokenizer.ggml.seperator_token_id"] == ids["[SEP]"]  # llama.cpp's own spelling
    assert found["tokenizer.ggml.normalizer.strip_accents"] is True


def test_another_architecture_is_refused(source_dir, tmp_path):
    config = json.loads((source_dir / "config.json").read_text())
    (source_dir / "config.json").write_text(json.dumps({**config, "model_type": "electra"}))
    with pytest.raises(ValueError, match="is of type electra"):
        gguf_bert.convert(source_dir, tmp_path / "m.gguf", "mean")
    assert not (tmp_path / "m.gguf").exists()
