"""The seam of a format: a model in, an artifact out. A format is a file in `converters/`, whose name is its key.

It writes one class with an underscored method; the public one calls it, and narrows whatever it raises to an error of
`edgewright.errors`, so that no caller ever sees a library's own exception. A `torch.nn.EmbeddingBag` as a numpy file:

    from pathlib import Path
    from typing import Any

    from edgewright.contracts.converter import ConversionSpec, Converter
    from edgewright.contracts.precision import Precision, suffix

    __all__ = ["BagConverter"]


    class BagConverter(Converter):
        format = "bag"
        precisions = ("fp32", "fp16")
        extra = "convert"
        requires = ("torch",)

        @staticmethod
        def path(precision: Precision) -> str:
            return f"bag/model{suffix(precision)}.npz"

        def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
            import numpy as np

            spec.progress("store the table")
            (table,) = model.parameters()
            dtype = np.float16 if spec.precision == "fp16" else np.float32
            with out.open("wb") as file:
                np.savez(file, table=table.detach().numpy().astype(dtype))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from edgewright.errors import ConversionFailed, EdgewrightError
from edgewright.system.files import unwritten
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.contracts.precision import Precision

__all__ = ["ConversionSpec", "Converter"]


@dataclass(frozen=True)
class ConversionSpec:
    """What to make of a model: one precision, for one task.

    Attributes:
        precision: one of those that the converter names.
        inputs: names of the model's inputs, each int64 (batch, length).
        outputs: names of its outputs, in the order in which the model returns them.
        example: one real batch for each input, at least 2 rows and an odd length, for exporters that trace.
        task: the key of the task that the model answers.
        settings: what the task knows of the model, such as its labels and its largest length in tokens.
        tokenizer: the directory of the model's tokenizer, for formats that carry its vocabulary.
        calibration: real texts, each a batch of one row without padding, for precisions that measure ranges.
        keep_float: the rung of the converter's ladder to build, see `Converter.ladder`.
        byte_dots: whether the CPU that it is for multiplies bytes by fours into 32 bits (Arm's dotprod, x86's VNNI).
        int8_cache: whether a decoder whose weights are integers keeps its keys and values in 8 bits.
        shortlist: whether an encoder-decoder can be held to some tokens, see `edgewright.generation.shortlist`.
        about: what the artifact shall say of itself where its format has room for it: task, labels, source and its
            hash, licence, hash of the tokenizer.
        progress: called with a short phrase whenever a stage begins.
    """

    precision: Precision
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: Mapping[str, NDArray[Any]]
    task: str
    settings: Settings
    tokenizer: Path
    calibration: Sequence[Mapping[str, NDArray[Any]]] = ()
    keep_float: tuple[str, ...] = ()
    byte_dots: bool = True
    int8_cache: bool = False
    shortlist: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] = silent


class Converter(ABC):
    """Makes artifacts of one format. One instance serves all precisions of a model, so it may keep what they share.

    Attributes:
        made_there: whether an artifact runs on no other machine than the one that made it.
        preload: modules of its libraries that take long to import, and start no thread: many conversions share them.
    """

    made_there: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = ()
    format: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    extra: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]

    @staticmethod
    @abstractmethod
    def path(precision: Precision) -> str:
        """Where an artifact lies in a bundle, such as `onnx/model_quantized.onnx`."""

    @staticmethod
    def ladder(precision: Precision) -> tuple[tuple[str, ...], ...]:
        """Kinds of operators to leave in float, from none to many: a build takes the first rung that passes its gates.

        The names are the converter's own, and the manifest records those of the rung that passed.
        """
        del precision
        return ((),)

    def convert(self, model: Any, spec: ConversionSpec, out: Path) -> None:
        """Write the artifact of `model`, an eval-mode `torch.nn.Module` that takes `spec.inputs` in order, to `out`.

        Raises:
            ConversionFailed: the format's library failed; its exception is the cause.
            StorageError: the disk is full or read-only.
        """
        try:
            self._convert(model, spec, out)
        except EdgewrightError:
            raise
        except OSError as error:
            raise unwritten(out.name, error) from error
        except Exception as error:
            root = _root(error)
            raise ConversionFailed(f"{self.format} {spec.precision}: {type(root).__name__}: {root}") from error

    @abstractmethod
    def _convert(self, model: Any, spec: ConversionSpec, out: Path) -> None: ...


def _root(error: BaseException) -> BaseException:
    """Where a chain of exceptions began: exporters wrap the reason in pages of advice."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
