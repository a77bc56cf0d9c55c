"""Encoder-decoder -> ONNX: two graphs over one file of weights, written operator by operator from the parts.

encoder: input_ids, attention_mask (sources, length)
    -> cross (2 * layers, sources, heads, length, head_dim): the keys and values that all steps of the decoder read
decoder, one step: input_ids (rows, 1), position (1,), ends (rows,) and total (), attention_mask (sources, length),
    past_key_values.L.decoder.key and .value (rows, heads, past, head_dim),
    past_key_values.L.encoder.key and .value (sources, heads, length, head_dim)
    -> logits (rows, 1, vocabulary), present.L.decoder.key and .value

candidates, for a shortlist: candidates (candidates,)
    -> head (width, candidates), head_bias (candidates,) where the head has one
decoder over candidates: one step as above, head and head_bias given -> logits (rows, 1, candidates), present as above

`rows` is a multiple of `sources`: the beams of a source stand together and share its keys and values, which are read
once for all of them. The decoder's own cache is com.microsoft's GroupQueryAttention's: where `past` and `present` are
one buffer it writes in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.converters._decoder.parts import Linear
from edgewright.converters._onnx.products import head_of
from edgewright.converters._onnx.writer import ACTIVATIONS, DOMAIN, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from edgewright.converters._decoder.parts import Attention, FeedForward, Norm
    from edgewright.converters._onnx.products import Products
    from edgewright.converters._translator.parts import Layer, Stack, Translator

__all__ = ["candidate_models", "translator_models"]

_END = 2**31 - 1
"""Behind every sequence: the end of a slice."""


def translator_models(whole: Translator, products: Products) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Encoder and decoder, their weights stored as `products` has it."""
    return _Encoder(whole, whole.encoder, products).model(), _Decoder(whole, whole.decoder, products).model()


def candidate_models(whole: Translator, products: Products) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """What gathers a head for some tokens, and a step of the decoder with such a head."""
    return _Candidates(whole, whole.decoder, products).model(), _Narrow(whole, whole.decoder, products).model()


class _Graph(Writer):
    """What both stacks have in common."""

    def __init__(self, whole: Translator, stack: Stack, products: Products) -> None:
        super().__init__(stack)
        self._whole, self._stack, self._products = whole, stack, products

    def _embedded(self) -> str:
        found: str = self._products.embedded(self, "input_ids")
        scale = self._whole.scale
        if scale != 1.0:
            found = self.node("Mul", found, self.constant("embedding_scale", np.array(scale, np.float32)))
        return found

    def _mask(self) -> None:
        """Where a source has tokens, as MultiHeadAttention wants it: int32 (sources, length)."""
        from onnx import TensorProto

        self.node("Cast", "attention_mask", outputs=["mask"], to=TensorProto.INT32)

    def _added(self, name: str, norm: Norm, state: str, part: Callable[[str], str]) -> str:
        """The state with what a part makes of it, normalised before or behind."""
        if self._whole.norm_first:
            found: str = self.node("Add", state, part(self._normed(name, norm, state)))
            return found
        # Sum, for ONNX Runtime makes an Add and a norm one SkipLayerNormalization, which is scalar: four times the
        # time of both with four rows of 256 numbers, seven times with nine of 512 (1.31)
        return self._normed(name, norm, self.node("Sum", part(state), state))

    def _normed(self, name: str, norm: Norm, state: str) -> str:
        weight = self.constant(name, norm.weight)
        found: str
        if norm.bias is None:
            found = self.node(
                "SimplifiedLayerNormalization", state, weight, axis=-1, epsilon=norm.epsilon, stash_type=1
            )
        else:
            bias = self.constant(f"{name}.bias", norm.bias)
            found = self.node("LayerNormalization", state, weight, bias, axis=-1, epsilon=norm.epsilon)
        return found

    def _fed(self, part: FeedForward, state: str) -> str:
        kind, attributes = ACTIVATIONS[part.activation]
        found = self.node(kind, self._products.product(self, state, part.gate or part.up), **attributes)
        if part.gate:
            found = self.node("Mul", found, self._products.product(self, state, part.up))
        return self._products.product(self, found, part.down)


class _Encoder(_Graph):
    """From the tokens of sources to the keys and values that the decoder's layers make of them."""

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        from onnx import TensorProto, helper

        self._mask()
        state, distances = self._placed(), self._distances()
        for at, layer in enumerate(self._stack.layers):
            state = self._layer(at, layer, state, distances)
        if self._stack.norm:
            state = self._normed("norm", self._stack.norm, state)
        self._cross(state)
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["sources", "length"])
            for name in ("input_ids", "attention_mask")
        ]
        layers, cross = len(self._whole.decoder.layers), self._crossing()[0]
        shape = [2 * layers, "sources", cross.heads, "length", cross.head_dim]
        return self.written(inputs, [helper.make_tensor_value_info("cross", TensorProto.FLOAT, shape)])

    def _placed(self) -> str:
        state = self._embedded()
        if self._stack.positions is None:
            return state
        table, length = self.constant("positions", self._stack.positions), self.node("Shape", "input_ids", start=1)
        found: str = self.node(
            "Add", state, self.node("Slice", table, self.index(0), length, self.index(0), self.index(1))
        )
        return found

    def _distances(self) -> str:
        """(1, heads, length, length): what attention adds for each pair, "" for nothing."""
        if self._stack.distances is None:
            return ""
        table = self.constant("distances", self._stack.distances)
        shape = self.node("Shape", "input_ids")
        length = self.node("Gather", shape, self.constant("second", np.array(1, np.int64)))
        zero, one = (self.constant(f"number/{n}", np.array(n, np.int64)) for n in (0, 1))
        places = self.node("Range", zero, length, one)
        keys = self.node("Unsqueeze", places, self.index(0))
        queries = self.node("Unsqueeze", places, self.index(1))
        apart = self.node("Add", self.node("Sub", keys, queries), self.index(self._whole.context - 1))
        found: str = self.node("Unsqueeze", self.node("Gather", table, apart, axis=1), self.index(0))
        return found

    def _layer(self, at: int, layer: Layer, state: str, distances: str) -> str:
        attention = layer.attention
        state = self._added(
            f"{at}.attention_norm", layer.attention_norm, state, lambda x: self._attended(attention, x, distances)
        )
        return self._added(
            f"{at}.feed_forward_norm", layer.feed_forward_norm, state, lambda x: self._fed(layer.feed_forward, x)
        )

    def _attended(self, attention: Attention, state: str, distances: str) -> str:
        packed = self._products.product(self, state, Linear.stacked([attention.query, attention.key, attention.value]))
        width = attention.heads * attention.head_dim
        query, key, value = self.node("Split", packed, self.index(width, width, width), outputs=3, axis=-1)
        found = self.node(
            "MultiHeadAttention",
            *(query, key, value, "", "mask", *([distances] if distances else [])),
            domain=DOMAIN,
            num_heads=attention.heads,
            scale=attention.scale,
        )
        return self._products.product(self, found, attention.output)

    def _crossing(self) -> list[Attention]:
        return [layer.cross for layer in self._whole.decoder.layers if layer.cross]

    def _cross(self, state: str) -> None:
        """One product for the keys and values of all layers."""
        every = self._crossing()
        parts = [linear for cross in every for linear in (cross.key, cross.value)]
        packed = self._products.product(self, state, Linear.stacked(parts))
        split = self.node("Reshape", packed, self.index(0, 0, len(parts), every[0].heads, every[0].head_dim))
        self.node("Transpose", split, outputs=["cross"], perm=[2, 0, 3, 1, 4])


class _Decoder(_Graph):
    """One token of each row."""

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        self._mask()
        sources = self.node("Shape", "attention_mask", end=1)
        cross = self._stack.layers[0].cross
        assert cross is not None  # noqa: S101 - every layer of a decoder has one
        width = self.index(cross.heads * cross.head_dim)
        self.node("Concat", sources, self.index(-1), width, outputs=["by_source"], axis=0)
        state, distances = self._placed(), self._distances()
        for at, layer in enumerate(self._stack.layers):
            state = self._layer(at, layer, state, distances)
        if self._stack.norm:
            state = self._normed("norm", self._stack.norm, state)
        if self._whole.head_scale != 1.0:
            scale = self.constant("head_scale", np.array(self._whole.head_scale, np.float32))
            state = self.node("Mul", state, scale)
        self._head(state)
        return self.written(self._inputs(), self._outputs())

    def _head(self, state: str) -> None:
        self._products.head(self, state, "logits")

    def _placed(self) -> str:
        state = self._embedded()
        if self._stack.positions is None:
            return state
        row = self.node("Gather", self.constant("positions", self._stack.positions), "position")
        found: str = self.node("Add", state, row)
        return found

    def _distances(self) -> str:
        """(1, heads, 1, past + 1): what attention adds for each key, "" for nothing."""
        if self._stack.distances is None:
            return ""
        table = self.constant("distances", self._stack.distances[None, :, None])
        last = self.index(self._whole.context - 1)
        found: str = self.node(
            "Slice", table, self.node("Sub", last, "position"), self.index(_END), self.index(3), self.index(1)
        )
        return found

    def _layer(self, at: int, layer: Layer, state: str, distances: str) -> str:
        cross, cross_norm = layer.cross, layer.cross_norm
        assert cross is not None  # noqa: S101 - as above
        assert cross_norm is not None  # noqa: S101 - and its norm
        state = self._added(
            f"{at}.attention_norm",
            layer.attention_norm,
            state,
            lambda x: self._attended(at, layer.attention, x, distances),
        )
        state = self._added(f"{at}.cross_norm", cross_norm, state, lambda x: self._crossed(at, cross, x))
        return self._added(
            f"{at}.feed_forward_norm", layer.feed_forward_norm, state, lambda x: self._fed(layer.feed_forward, x)
        )

    def _attended(self, at: int, attention: Attention, state: str, distances: str) -> str:
        packed = self._products.product(self, state, Linear.stacked([attention.query, attention.key, attention.value]))
        past = [f"past_key_values.{at}.decoder.{part}" for part in ("key", "value")]
        present = [f"present.{at}.decoder.{part}" for part in ("key", "value")]
        found = self.node(
            "GroupQueryAttention",
            *(packed, "", "", *past, "ends", "total", *(["", "", "", distances] if distances else [])),
            outputs=[f"{at}.attended", *present],
            domain=DOMAIN,
            num_heads=attention.heads,
            kv_num_heads=attention.key_heads,
            scale=attention.scale,
        )
        return self._products.product(self, found[0], attention.output)

    def _crossed(self, at: int, cross: Attention, state: str) -> str:
        query = self.node("Reshape", self._products.product(self, state, cross.query), "by_source")
        found = self.node(
            "MultiHeadAttention",
            query,
            f"past_key_values.{at}.encoder.key",
            f"past_key_values.{at}.encoder.value",
            "",
            "mask",
            domain=DOMAIN,
            num_heads=cross.heads,
            scale=cross.scale,
        )
        rows = self.node("Reshape", found, self.index(-1, 1, cross.heads * cross.head_dim))
        return self._products.product(self, rows, cross.output)

    def _inputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        whole = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", 1]),
            helper.make_tensor_value_info("ends", TensorProto.INT32, ["rows"]),
            helper.make_tensor_value_info("total", TensorProto.INT32, []),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["sources", "length"]),
        ]
        if self._stack.positions is not None or self._stack.distances is not None:
            whole.insert(1, helper.make_tensor_value_info("position", TensorProto.INT64, [1]))
        return [
            *whole,
            *self._cache("past_key_values", "decoder", "rows", "past"),
            *self._cache("past_key_values", "encoder", "sources", "length"),
        ]

    def _outputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 1, self._stack.vocabulary])
        return [logits, *self._cache("present", "decoder", "rows", "past")]

    def _cache(self, name: str, side: str, rows: str, length: str) -> list[Any]:
        from onnx import TensorProto, helper

        return [
            helper.make_tensor_value_info(
                f"{name}.{at}.{side}.{part}",
                TensorProto.FLOAT,
                [rows, layer.attention.heads, length, layer.attention.head_dim],
            )
            for at, layer in enumerate(self._stack.layers)
            for part in ("key", "value")
        ]


class _Narrow(_Decoder):
    """The same over the tokens of a shortlist, whose part of the head is given."""

    def _head(self, state: str) -> None:
        if self._biased:
            self.node("Add", self.node("MatMul", state, "head"), "head_bias", outputs=["logits"])
        else:
            self.node("MatMul", state, "head", outputs=["logits"])

    @property
    def _biased(self) -> bool:
        return head_of(self).bias is not None

    def _inputs(self) -> list[Any]:
        return [*super()._inputs(), *_head_values(self._stack.width, biased=self._biased)]

    def _outputs(self) -> list[Any]:
        from onnx import TensorProto, helper

        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 1, "candidates"])
        return [logits, *self._cache("present", "decoder", "rows", "past")]


class _Candidates(_Graph):
    """From tokens to the part of the head that makes their logits: once for a sentence."""

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        from onnx import TensorProto, helper

        head = head_of(self)
        self.node("Identity", self._products.columns(self, "candidates"), outputs=["head"])
        if head.bias is not None:
            self.node("Gather", self.constant(f"{head.name}.bias", head.bias), "candidates", outputs=["head_bias"])
        inputs = [helper.make_tensor_value_info("candidates", TensorProto.INT64, ["candidates"])]
        return self.written(inputs, _head_values(self._stack.width, biased=head.bias is not None))


def _head_values(width: int, *, biased: bool) -> list[Any]:
    """What the one graph gives and the other takes."""
    from onnx import TensorProto, helper

    head = helper.make_tensor_value_info("head", TensorProto.FLOAT, [width, "candidates"])
    bias = helper.make_tensor_value_info("head_bias", TensorProto.FLOAT, ["candidates"])
    return [head, bias] if biased else [head]
