"""A checkpoint of llama2.c, as tests of decoders build it."""

import struct

import numpy as np

VOCABULARY = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
VOCABULARY += [" ", *"etaoinshrdlu", "th", "he", " t", "an", " the", "in", "er", "on", " a", "nd"]
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def llama2c(root, context=64):
    """A checkpoint of llama2.c with random weights, and a vocabulary."""
    random = np.random.default_rng(5)
    width, inner, layers, heads, key_heads, words = 32, 48, 2, 4, 2, len(VOCABULARY)
    keys = key_heads * width // heads
    ones = np.ones((layers, width))
    shapes = [(words, width), ones, (layers, width, width), (layers, keys, width), (layers, keys, width)]
    shapes += [(layers, width, width), ones, (layers, inner, width), (layers, width, inner), (layers, inner, width)]
    shapes += [np.ones(width), np.zeros(context * width // heads)]
    arrays = [random.normal(scale=0.3, size=each) if isinstance(each, tuple) else each for each in shapes]
    arrays[0][:259] = 0  # no special token and no byte is ever the likeliest
    head = struct.pack("<7i", width, inner, layers, heads, key_heads, words, context)
    (root / "model.bin").write_bytes(head + b"".join(array.astype("<f4").tobytes() for array in arrays))
    pieces = [(0.0 if at < 259 else -float(at), text.encode()) for at, text in enumerate(VOCABULARY)]
    body = b"".join(struct.pack("<fi", score, len(text)) + text for score, text in pieces)
    (root / "tok.bin").write_bytes(struct.pack("<i", 8) + body)
    return root / "model.bin"


def talker(root, context=512):
    """A directory of such a model with a chat template."""
    from edgewright.converters._decoder.llama2c import unpack

    source = root / "source"
    source.mkdir()
    unpack(llama2c(root, context=context), root / "tok.bin", source)
    (source / "chat_template.jinja").write_text(TEMPLATE)
    return source
