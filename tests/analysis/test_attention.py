import base64
import struct
import zlib

import numpy as np
import pytest

from edgewright.analysis.attention import Attention, _address, heads, page

TOKENS = ("[CLS]", "a", "<b>", "c", "[SEP]")
SPECIAL = (True, False, False, False, True)
N = len(TOKENS)
PATTERNS = {
    "itself": np.eye(N),
    "previous": np.eye(N, k=-1) + np.eye(N)[:, :1] @ np.eye(1, N),
    "next": np.eye(N, k=1) + np.eye(N)[:, -1:] @ np.eye(1, N, k=N - 1),
    "special": np.tile(np.eye(1, N), (N, 1)),
    "broad": np.full((N, N), 1 / N),
    "mixed": np.tile([0.2, 0.4, 0.4, 0, 0], (N, 1)),
}


def found(*names):
    weights = np.stack([PATTERNS[name] for name in names])[None].astype(np.float32)
    return Attention(TOKENS, SPECIAL, weights)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_head_is_named_by_where_it_looks(name):
    (head,) = heads(found(name))
    assert (head.mostly, head.layer, head.head) == (name, 0, 0)
    if name in ("itself", "previous", "next", "special"):
        assert getattr(head, name) == 1
        assert head.entropy_bits == 0
    if name == "broad":
        assert head.entropy_bits == pytest.approx(np.log2(N), abs=1e-3)
        assert head.special == pytest.approx(2 / N)


def test_special_tokens_are_not_asked_where_they_look():
    weights = np.eye(N)
    weights[0] = weights[-1] = PATTERNS["broad"][0]
    (head,) = heads(Attention(TOKENS, SPECIAL, weights[None, None].astype(np.float32)))
    assert (head.itself, head.entropy_bits) == (1, 0)


def test_a_text_of_special_tokens_alone_has_heads_too():
    (head,) = heads(Attention(("[CLS]", "[SEP]"), (True, True), np.eye(2, dtype=np.float32)[None, None]))
    assert (head.itself, head.special) == (1, 1)


def test_the_picture_is_a_png_with_a_pixel_for_each_number():
    data = base64.b64decode(_address(np.array([[0.0, 0.25], [0.5, 1.0]])).partition(",")[2])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (2, 2)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(2, 9)
    assert lines[:, 1:].reshape(2, 2, 4)[..., 3].tolist() == [[0, 128], [180, 255]]


def test_a_page_holds_everything_and_escapes_the_text():
    text = page(found("itself", "broad"), "Attention of <x>")
    assert "<title>Attention of &lt;x&gt;</title>" in text
    assert "&lt;b&gt;" in text
    assert "<b>c" not in text
    assert text.count("<script") == 1  # the page's own
    assert "http:" not in text
    assert "https:" not in text
    assert "Share of attention:" in text
    for anchor in ("l0h0", "l0h1"):
        assert f'href="#{anchor}"' in text
        assert f'id="{anchor}"' in text
