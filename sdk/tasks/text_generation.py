"""text-generation: a prompt -> the text that follows it. Tokens are decoded one by one (`edgewright.generation`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from edgewright.errors import UsageError
from edgewright.tasks import Example, Task, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding

__all__ = ["TextGeneration"]


class TextGeneration(Task):
    """What a decoder does. One run of the engine gives no answer: `edgewright.generation.Generator` loops."""

    name = "text-generation"
    auto_class = "AutoModelForCausalLM"
    heads = ("ForCausalLM", "LMHeadModel")
    outputs = ("logits",)
    per_token = True
    generates = True
    lines = True
    metrics = ("perplexity",)
    columns = (("text", "prompt"),)

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """Logits (n, length, vocabulary) -> those of the last token of each text, float32 (vocabulary,)."""
        return [array[length - 1] for array, length in zip(outputs["logits"], encoding.lengths, strict=True)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Raise UsageError."""
        del outputs, encoding
        _refuse("answered in one run")

    def example(self, row: Mapping[str, Any]) -> Example:
        """A text. Raises DataError."""
        return Example(text(self.column(row, 0)), None)

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """Raise UsageError."""
        del metric, answers, examples
        _refuse("scored by answers")


def _refuse(how: str) -> NoReturn:
    raise UsageError(f"text-generation is not {how}", hint="use edgewright run, verify or bench")
