"""trim-positions: a shorter largest text, and a shorter table of positions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError
from edgewright.model.pruned import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["TrimPositions"]


class TrimPositions(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Longer texts are cut from then on; shorter ones have the same outputs as before.

    Attributes:
        length: of the longest text, in tokens.
    """

    length: Annotated[int, Meta(ge=8)]

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for other architectures, or a model that is no longer."""
        del setting
        if source.model_type not in FAMILIES:
            raise UsageError(f"trim-positions takes {', '.join(FAMILIES)}; the model is a {source.model_type}")
        if self.length > source.settings.max_length:
            what = f"trim-positions shall leave {self.length} tokens, the model takes {source.settings.max_length}"
            raise UsageError(what, hint="ask for fewer")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Cut the table, and say so in the configuration and the tokenizer's."""
        self.check(source, setting)
        from edgewright.compression.steps._model import loaded, save

        model = loaded(source)
        rows = self.length + _offset(model)
        for module in list(model.modules()):
            table = getattr(module, "position_embeddings", None)
            if table is not None:
                module.position_embeddings = _shorter(table, rows)
        model.config.max_position_embeddings = rows
        save(model, source, out)
        config = out / "tokenizer_config.json"
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
        config.write_text(json.dumps({**settings, "model_max_length": self.length}, indent=2) + "\n", encoding="utf-8")


def _offset(model: Any) -> int:
    """RoBERTa and its kin count positions from the id after padding's."""
    return 0 if model.config.model_type in ("bert", "electra") else int(model.config.pad_token_id) + 1


def _shorter(table: Any, rows: int) -> Any:
    from torch import nn

    return nn.Embedding.from_pretrained(table.weight.detach()[:rows].clone(), padding_idx=table.padding_idx)
