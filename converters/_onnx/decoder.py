"""Decoder -> ONNX: a graph with a cache, written operator by operator from the parts.

    input_ids (batch, n), attention_mask (batch, past + n) of ones, past_key_values.L.key and .value
    -> logits (batch, kept, vocabulary), present.L.key and .value

and of a layer that is a short convolution past_conv.L (batch, width, taps) -> present_conv.L: what it convolved last.

The names, those of the free dimensions among them, are those of transformers' own exports, which onnxruntime-genai
and transformers.js look for. Attention is com.microsoft's GroupQueryAttention: it turns queries and keys itself, and
where `past` and `present` are one buffer it writes in place. `position_ids` is an input where the model has a table
of positions, or heads too small for that kernel's own rotation. `num_logits_to_keep` may be left out: 0 is all
positions, and 1 saves the products of a whole prompt with the head. A cache of 8 bits has a scale for each channel of
a layer's keys, and of its values: numbers of the model, not of a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.converters._decoder.parts import ShortConvolution
from edgewright.converters._onnx.writer import ACTIVATIONS, DOMAIN, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from edgewright.converters._decoder.parts import Attention, Block, CachePeaks, Decoder, FeedForward, Norm
    from edgewright.converters._onnx.products import Products

__all__ = ["decoder_model"]

_ROTARY_STEP = 8
"""GroupQueryAttention's own rotation takes tables whose width is a multiple of it (group_query_attention_helper.h)."""
_STEPS = 127
"""On either side of zero, of eight bits with a sign."""
_LEAST_PEAK = 1e-6
"""Of a channel that no text moved: a scale is divided by."""
_NO_POSITIONS_BIAS_SINK = ("", "", "")
"""Inputs of GroupQueryAttention before the scales, which nothing here gives (ContribOperators.md)."""
_END = 2**31 - 1
"""Behind every sequence: the end of a slice."""


def decoder_model(decoder: Decoder, products: Products, peaks: Sequence[CachePeaks] = ()) -> onnx.ModelProto:
    """The model of `decoder`, its weights stored as `products` has it.

    With the `peaks` of each layer its cache is int8.
    """
    return _Graph(decoder, products, peaks).model()


class _Graph(Writer):
    """The graph of a decoder in the making."""

    def __init__(self, decoder: Decoder, products: Products, peaks: Sequence[CachePeaks]) -> None:
        super().__init__(decoder)
        self.decoder, self._products, self._peaks = decoder, products, peaks

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        decoder = self.decoder
        self._ends()
        state, added = self._embedded(), ""
        for at, block in enumerate(decoder.blocks):
            state, added = self._block(at, block, state, added)
        self.module = "head"
        state, _ = self._normed(decoder.norm, "norm", state, added)
        minus = self.node("Neg", "num_logits_to_keep")
        state = self.node("Slice", state, minus, self.index(_END), self.index(1))
        self._products.head(self, state, "logits")
        return self.written(self._inputs(), self._outputs())

    def _inputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        whole = ["input_ids", "attention_mask"] + ["position_ids"] * self._places
        shapes = {"attention_mask": ["batch_size", "total_sequence_length"]}
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, shapes.get(name, ["batch_size", "sequence_length"]))
            for name in whole
        ]
        inputs.append(helper.make_tensor_value_info("num_logits_to_keep", TensorProto.INT64, [1]))
        return inputs + self._cache("past", "past_key_values", "past_sequence_length")

    def _outputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        shape = ["batch_size", "kept", self.decoder.vocabulary]
        return [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape),
            *self._cache("present", "present", "total_sequence_length"),
        ]

    def _cache(self, when: str, name: str, length: str) -> list[Any]:
        from onnx import TensorProto, helper

        found, kind = [], TensorProto.INT8 if self._peaks else TensorProto.FLOAT
        for at, block in enumerate(self.decoder.blocks):
            mixer = block.mixer
            if isinstance(mixer, ShortConvolution):
                state = ["batch_size", self.decoder.width, mixer.taps]
                found.append(helper.make_tensor_value_info(f"{when}_conv.{at}", TensorProto.FLOAT, state))
            else:
                shape = ["batch_size", mixer.key_heads, length, mixer.head_dim]
                found += [
                    helper.make_tensor_value_info(f"{name}.{at}.{part}", kind, shape) for part in ("key", "value")
                ]
        return found

    @property
    def _places(self) -> bool:
        """Whether the graph wants to be told positions."""
        return self.decoder.positions is not None or not all(map(_turns_itself, self._attentions))

    @property
    def _attentions(self) -> list[Attention]:
        mixers = (block.mixer for block in self.decoder.blocks)
        return [mixer for mixer in mixers if not isinstance(mixer, ShortConvolution)]

    def _ends(self) -> None:
        """Where the sequence of each row ends, as GroupQueryAttention wants it: int32 (batch,) and a scalar."""
        from onnx import TensorProto

        self.constant("num_logits_to_keep", np.zeros(1, np.int64))
        counted = self.node("ReduceSum", "attention_mask", self.index(1), keepdims=0)
        last = self.node("Sub", counted, self.index(1))
        self.node("Cast", last, outputs=["ends"], to=TensorProto.INT32)
        shape = self.node("Shape", "attention_mask")
        whole = self.node("Gather", shape, self.constant("second", np.array(1, np.int64)))
        self.node("Cast", whole, outputs=["total"], to=TensorProto.INT32)

    def _embedded(self) -> str:
        decoder, self.module = self.decoder, "embedding"
        found: str = self._products.embedded(self, "input_ids")
        if decoder.scale != 1.0:
            found = self.node("Mul", found, self.constant("embedding_scale", np.array(decoder.scale, np.float32)))
        if decoder.positions is not None:
            rows = self.node("Gather", self.constant("positions", decoder.positions), "position_ids")
            found = self.node("Add", found, rows)
        return found

    def _block(self, at: int, block: Block, state: str, added: str) -> tuple[str, str]:
        """The state before what the block's last part adds, and that."""
        convolves = isinstance(block.mixer, ShortConvolution)
        self.module = f"layers.{at}.{'convolution' if convolves else 'attention'}"
        read, state = self._normed(block.before_attention, f"{at}.before_attention", state, added)
        added = self._mixed(at, block.mixer, read)
        if block.after_attention:
            added, _ = self._normed(block.after_attention, f"{at}.after_attention", added, "")
        self.module = f"layers.{at}.feed_forward"
        if block.before_feed_forward is None:
            return state, self.node("Add", added, self._feed_forward(block.feed_forward, read))
        read, state = self._normed(block.before_feed_forward, f"{at}.before_feed_forward", state, added)
        added = self._feed_forward(block.feed_forward, read)
        if block.after_feed_forward:
            added, _ = self._normed(block.after_feed_forward, f"{at}.after_feed_forward", added, "")
        return state, added

    def _normed(self, norm: Norm, name: str, state: str, added: str) -> tuple[str, str]:
        """The normalised sum of state and what is added to it, and the sum."""
        weight = self.constant(name, norm.weight)
        if norm.bias is not None:
            state = self.node("Add", state, added) if added else state
            bias = self.constant(f"{name}.bias", norm.bias)
            return self.node("LayerNormalization", state, weight, bias, axis=-1, epsilon=norm.epsilon), state
        if not added:
            found = self.node(
                "SimplifiedLayerNormalization", state, weight, axis=-1, epsilon=norm.epsilon, stash_type=1
            )
            return found, state
        outputs = [f"{name}.normed", "", "", f"{name}.sum"]
        self.node(
            "SkipSimplifiedLayerNormalization",
            state,
            added,
            weight,
            outputs=outputs,
            domain=DOMAIN,
            epsilon=norm.epsilon,
        )
        return outputs[0], outputs[3]

    def _mixed(self, at: int, mixer: Attention | ShortConvolution, state: str) -> str:
        if isinstance(mixer, ShortConvolution):
            return self._convolution(at, mixer, state)
        return self._attention(at, mixer, state)

    def _convolution(self, at: int, part: ShortConvolution, state: str) -> str:
        """A product with each tap, added up: for one token Conv takes six times as long, a group for each channel."""
        packed = self._products.product(self, state, part.inputs)
        before, after, x = self.node("Split", packed, outputs=3, axis=-1, num_outputs=3)
        past = self.node("Transpose", f"past_conv.{at}", perm=[0, 2, 1])
        every = self.node("Concat", past, self.node("Mul", before, x), axis=1)
        last = self.node("Slice", every, self.index(-part.taps), self.index(_END), self.index(1))
        self.node("Transpose", last, outputs=[f"present_conv.{at}"], perm=[0, 2, 1])
        found = ""
        for tap in range(part.taps):
            end = tap + 1 - part.taps or _END
            seen = self.node("Slice", every, self.index(tap + 1), self.index(end), self.index(1))
            weighed = self.node("Mul", seen, self.constant(f"{at}.tap{tap}", part.kernel[:, tap]))
            found = self.node("Add", found, weighed) if found else weighed
        if part.bias is not None:
            found = self.node("Add", found, self.constant(f"{at}.convolution.bias", part.bias))
        return self._products.product(self, self.node("Mul", after, found), part.output)

    def _attention(self, at: int, attention: Attention, state: str) -> str:
        turned = _turns_itself(attention)
        given = self._queries(at, attention, state)
        tables = ["", ""]
        if attention.rotary is not None and turned:
            tables = self._tables(attention)
        more = {"local_window_size": attention.window} if attention.window else {}
        scales, cached = self._cache_scales(at)
        found = self.node(
            "GroupQueryAttention",
            *given,
            f"past_key_values.{at}.key",
            f"past_key_values.{at}.value",
            "ends",
            "total",
            *tables,
            *scales,
            outputs=[f"{at}.attended", f"present.{at}.key", f"present.{at}.value"],
            domain=DOMAIN,
            num_heads=attention.heads,
            kv_num_heads=attention.key_heads,
            scale=attention.scale,
            do_rotary=int(attention.rotary is not None and turned),
            **more,
            **cached,
        )
        return self._products.product(self, found[0], attention.output)

    def _cache_scales(self, at: int) -> tuple[list[str], dict[str, int | str]]:
        """What GroupQueryAttention wants for a cache of 8 bits: its last inputs, and attributes."""
        if not self._peaks:
            return [], {}
        scales = [
            self.constant(f"{at}.{part}_scale", np.maximum(peak, _LEAST_PEAK) / np.float32(_STEPS))
            for part, peak in zip(("key", "value"), self._peaks[at], strict=True)
        ]
        kinds: dict[str, int | str] = {
            "kv_cache_bit_width": 8,
            "k_quant_type": "PER_CHANNEL",
            "v_quant_type": "PER_CHANNEL",
        }
        return [*_NO_POSITIONS_BIAS_SINK, *scales], kinds

    def _queries(self, at: int, attention: Attention, state: str) -> list[str]:
        """Queries, keys and values as the operator takes them: in one, unless something is done to them apart."""
        from edgewright.converters._decoder.parts import Linear

        packed = self._products.product(self, state, Linear.stacked([attention.query, attention.key, attention.value]))
        if attention.query_norm is None and _turns_itself(attention):
            return [packed, "", ""]
        keys = attention.key_heads * attention.head_dim
        sizes = self.index(attention.heads * attention.head_dim, keys, keys)
        query, key, value = self.node("Split", packed, sizes, outputs=3, axis=-1)
        query = self._by_head(f"{at}.query_norm", attention.query_norm, query, attention.head_dim)
        key = self._by_head(f"{at}.key_norm", attention.key_norm, key, attention.head_dim)
        if not _turns_itself(attention):
            tables = self._tables(attention)
            wide = {"rotary_embedding_dim": 2 * attention.rotary.cos.shape[1] if attention.rotary else 0}
            if wide["rotary_embedding_dim"] == attention.head_dim:
                wide = {}
            query, key = (
                self.node("RotaryEmbedding", x, "position_ids", *tables, domain=DOMAIN, num_heads=heads, **wide)
                for x, heads in ((query, attention.heads), (key, attention.key_heads))
            )
        return [query, key, value]

    def _by_head(self, name: str, norm: Norm | None, state: str, head_dim: int) -> str:
        """Each head's numbers normalised, (batch, length, heads * head_dim)."""
        if norm is None:
            return state
        parts = self.node("Reshape", state, self.index(0, 0, -1, head_dim))
        found, _ = self._normed(norm, name, parts, "")
        joined: str = self.node("Reshape", found, self.index(0, 0, -1))
        return joined

    def _tables(self, attention: Attention) -> list[str]:
        """The names of the tables of angles; layers share them by identity."""
        rotary = attention.rotary
        assert rotary is not None  # noqa: S101 - asked of layers that turn alone
        distinct = list(dict.fromkeys(id(one.rotary) for one in self._attentions))
        key = f"rotary{distinct.index(id(rotary))}"
        return [self.constant(f"{key}.cos", rotary.cos), self.constant(f"{key}.sin", rotary.sin)]

    def _feed_forward(self, part: FeedForward, state: str) -> str:
        kind, attributes = ACTIVATIONS[part.activation]
        if part.gate is None:
            found = self.node(kind, self._products.product(self, state, part.up), **attributes)
        else:
            gate = self.node(kind, self._products.product(self, state, part.gate), **attributes)
            found = self.node("Mul", gate, self._products.product(self, state, part.up))
        return self._products.product(self, found, part.down)


def _turns_itself(attention: Attention) -> bool:
    """Whether GroupQueryAttention can turn the queries and keys of this layer, or none are turned."""
    return attention.rotary is None or attention.rotary.cos.shape[1] % _ROTARY_STEP == 0
