"""Models of transformers with the head of a task, as training takes them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from edgewright.errors import SourceError, one_line
from edgewright.model.carried import check_whole
from edgewright.model.loading import body_class
from edgewright.model.pruned import mend
from edgewright.training.objectives import IGNORED

if TYPE_CHECKING:
    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["Model", "Translating", "load"]


class Model(nn.Module):  # type: ignore[misc]  # torch is not followed
    """A model of transformers as a function of arrays: what its task names as outputs, in that order.

    Attributes:
        inner: the model itself.
        names: the task's outputs.
    """

    def __init__(self, inner: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.inner, self.names = inner, names
        self._typed = "token_type_ids" in inspect.signature(inner.forward).parameters

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any, *, hidden: bool = False) -> Any:
        """Tensors (rows, length) -> the outputs; with `hidden` also each layer's, the embedding's first."""
        given = {"token_type_ids": token_type_ids} if self._typed else {}
        found = self.inner(
            input_ids=input_ids, attention_mask=attention_mask.long(), output_hidden_states=hidden, **given
        )
        outputs = tuple(getattr(found, name) for name in self.names)
        return (outputs, found.hidden_states) if hidden else outputs


class Translating(Model):
    """An encoder-decoder as a function of rows that hold a source's tokens and then a target's, see `objectives`.

    A checkpoint has what is tied once: Trainer saves a module that is none of transformers' as it is.
    """

    def __init__(self, inner: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__(inner, names)
        every = set(super().state_dict())
        self._keys_to_ignore_on_save = every - set(self.state_dict())

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Without the further names of a tensor that has one already."""
        whole = super().state_dict(*args, **kwargs)
        seen: set[int] = set()
        for name in list(whole):
            if whole[name].data_ptr() in seen:
                del whole[name]
            else:
                seen.add(whole[name].data_ptr())
        return whole

    def tie_weights(self) -> None:
        """As Trainer asks for when it has loaded a checkpoint: what was tied still is."""

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any, *, hidden: bool = False) -> Any:
        """Tensors (rows, length) -> the logits of the targets' tokens (rows, most, vocabulary), and the targets."""
        del hidden
        config, mask = self.inner.config, attention_mask.bool()
        source, read = _gathered(input_ids, mask & (token_type_ids == 0), config.pad_token_id)
        target, real = _gathered(input_ids, mask & (token_type_ids == 1), config.pad_token_id)
        start = torch.full_like(target[:, :1], config.decoder_start_token_id)
        given = torch.cat([start, target[:, :-1]], 1)
        found = self.inner(input_ids=source, attention_mask=read.long(), decoder_input_ids=given, use_cache=False)
        return found.logits, target.masked_fill(~real, IGNORED)


def _gathered(ids: Any, chosen: Any, fill: int) -> tuple[Any, Any]:
    """The chosen tokens of each row from its beginning on, padded to the longest: (rows, most), and where they are."""
    order = (~chosen).to(torch.int8).argsort(dim=1, stable=True)[:, : int(chosen.sum(1).max())]
    real = chosen.gather(1, order)
    return ids.gather(1, order).masked_fill(~real, fill), real


def load(source: Source, task: Task, *, seed: int = 0) -> Model:
    """The weights of a source under the head of `task`; a head that it lacks begins at random, by `seed`.

    Raises:
        SourceError: transformers cannot load it; its own words.
    """
    torch.manual_seed(seed)
    settings = task.settings
    given: dict[str, Any] = {}
    if settings.labels:
        given = {
            "id2label": dict(enumerate(settings.labels)),
            "label2id": {name: at for at, name in enumerate(settings.labels)},
            "num_labels": len(settings.labels),
        }
    if settings.labels and task.name == "text-classification":
        given["problem_type"] = {"regression": "regression"}.get(settings.problem, f"{settings.problem}_classification")
    check_whole(source, "training")
    kind = getattr(transformers, body_class(source.directory) if task.name == "feature-extraction" else task.auto_class)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        inner, info = kind.from_pretrained(
            source.directory,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,  # no file of a model is code
            weights_only=True,
            **given,
        )
        left = mend(inner, source.directory, info["mismatched_keys"])
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise SourceError(f"{source.directory} does not load: {one_line(str(error), 300)}") from error
    _check_shapes(left, source)
    made = Translating if task.reads_source else Model
    return made(inner, task.outputs)


def _check_shapes(mismatched: Any, source: Source) -> None:
    """A head of another task begins anew; anything else that does not fit is an error."""
    body = [one for one in mismatched if not one[0].startswith(("classifier", "qa_outputs", "score"))]
    for name, found, wanted in sorted(body):
        shapes = f"{list(found)}, config.json asks for {list(wanted)}"
        raise SourceError(f"weight {name} in {source.directory} has the shape {shapes}")
