"""An encoder-decoder as it comes in: its parts, found once for all precisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._translator.parts import Translator

__all__ = ["TranslatorSource"]


class TranslatorSource:
    """Reads the parts of one eager model."""

    def __init__(self) -> None:
        self._whole: Translator | None = None

    def translator(self, model: Any, spec: ConversionSpec) -> Translator:
        """The parts. Raises UnsupportedConversion."""
        from edgewright.converters._translator.families import read

        if self._whole is None:
            spec.progress("read the parts")
            self._whole = read(model.model, spec.settings.max_length)
        return self._whole
