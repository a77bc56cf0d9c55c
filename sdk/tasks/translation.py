"""translation: a text -> the same in another language. Written token by token (`edgewright.generation.translator`).

BLEU (Papineni et al. 2002) and chrF (Popović 2015) are those of sacrebleu (Post 2018, arXiv 1804.08771) with its own
defaults, over a whole file: what papers report. The task's own is chrF, which needs no tokenizer of words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from edgewright.errors import DataError, UsageError
from edgewright.statistics import translations
from edgewright.tasks import Example, Task, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding

__all__ = ["Translation"]


class Translation(Task):
    """What an encoder-decoder does. One run of the engine gives no answer: `Translator` loops."""

    name = "translation"
    auto_class = "AutoModelForSeq2SeqLM"
    heads = ("ForConditionalGeneration", "MTModel")
    outputs = ("logits",)
    per_token = True
    generates = True
    reads_source = True
    lines = True
    metrics = ("chrf", "bleu")
    columns = (("source", "text", "sentence"), ("target", "translation", "label"))

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """Raise UsageError."""
        del outputs, encoding
        _refuse("answered in one run")

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Raise UsageError."""
        del outputs, encoding
        _refuse("answered in one run")

    def example(self, row: Mapping[str, Any]) -> Example:
        """A text and its translation. Raises DataError where one of them is missing."""
        source, target = text(self.column(row, 0)), text(self.column(row, 1))
        if not source.strip() or not target.strip():
            raise DataError(f"a pair without its {'target' if source.strip() else 'source'}")
        return Example(source, target)

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """BLEU or chrF of translations (texts) beside those of the examples, over rows by their weights."""
        wanted = [example.label for example in examples]
        return (translations.bleu if metric == "bleu" else translations.chrf)(answers, wanted)


def _refuse(how: str) -> NoReturn:
    raise UsageError(f"translation is not {how}", hint="use edgewright run, verify or eval")
