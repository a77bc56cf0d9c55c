"""factorize-embedding: a BERT becomes an ELECTRA, whose embedding is a narrow table and a projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edgewright.compression.steps import Setting, Step
from edgewright.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edgewright.model.source import Source

__all__ = ["FactorizeEmbedding"]

_RIDGE = 1e-3
"""As a share of the mean variance of what comes in."""

_FLOOR = 0.3
"""Of the mean curvature: a choice, so that rare words' directions are not given up for common ones'."""


class FactorizeEmbedding(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table by a singular value decomposition, the projection by least squares over the tokens of real rows.

    ELECTRA normalises the narrow embedding where BERT normalises the wide one, and its head has another activation, so
    the result is a start for training, not the same function.

    Attributes:
        width: of the narrow table.
        weighted: whether what moves the answers most is kept first, by the gradients at the embeddings' output.
        batches: of 32 rows, over which the projection is fitted.
    """

    width: Annotated[int, Meta(ge=8)]
    weighted: bool = False
    batches: Annotated[int, Meta(ge=1)] = 32

    def check(self, source: Source, setting: Setting) -> None:
        """Raise UsageError for other architectures, or without rows."""
        setting.rows("factorize-embedding")
        if source.model_type != "bert" or source.task != "text-classification":
            what = f"factorize-embedding takes a bert for text-classification; the model is a {source.model_type}"
            raise UsageError(f"{what} for {source.task}")

    def apply(self, source: Source, out: Path, setting: Setting) -> None:
        """Factorise, carry the other weights over, save."""
        import torch
        import transformers

        from edgewright.compression.steps._model import loaded, save
        from edgewright.model.pruned import is_pruned

        teacher = loaded(source)
        if is_pruned(teacher):
            raise UsageError("factorize-embedding comes before prune-heads", hint="change the order of the steps")
        if self.width >= teacher.config.hidden_size:
            what = f"factorize-embedding makes a table {self.width} wide, the model's is {teacher.config.hidden_size}"
            raise UsageError(what, hint="make it narrower")
        given = teacher.config.to_dict()
        kept = {name: given[name] for name in given if name not in ("model_type", "architectures", "embedding_size")}
        config = transformers.ElectraConfig(**{**kept, "embedding_size": self.width})
        torch.manual_seed(setting.seed)
        student = transformers.ElectraForSequenceClassification(config).eval()
        tokens = self._tokens(source, setting.rows("factorize-embedding")[0], out, setting)
        root = _root(teacher, tokens) if self.weighted else torch.eye(teacher.config.hidden_size)
        with torch.no_grad():
            _carry(student, teacher)
            _factorise(student, teacher, tokens, root)
        save(student, source, out)

    def _tokens(self, source: Source, rows: Path, out: Path, setting: Setting) -> list[dict[str, Any]]:
        from edgewright.compression.steps._model import batches

        return list(batches(source, rows, out.with_name(f"{out.name}-rows"), self.batches, setting.seed))


def _carry(student: Any, teacher: Any) -> None:
    """Layers as they are; the pooler and the classifier into ELECTRA's head."""
    student.electra.encoder.load_state_dict(teacher.bert.encoder.state_dict())
    student.classifier.dense.load_state_dict(teacher.bert.pooler.dense.state_dict())
    student.classifier.out_proj.load_state_dict(teacher.classifier.state_dict())


def _root(teacher: Any, tokens: list[dict[str, Any]]) -> Any:
    """How much the margin between a text's two best labels moves with the embeddings, float32 (width, width).

    It is the square root of the gradients' second moment, of mean eigenvalue 1, on a floor: directions that no text
    needed may be needed by another.
    """
    import torch

    seen: list[Any] = []
    hook = teacher.bert.embeddings.register_forward_hook(lambda _module, _given, made: seen.append(made))
    moment = torch.zeros(teacher.config.hidden_size, teacher.config.hidden_size)
    for batch in tokens:
        given = {name: batch[name] for name in ("input_ids", "token_type_ids")}
        logits = teacher(**given, attention_mask=batch["attention_mask"].long()).logits
        best = logits.topk(min(2, logits.shape[-1])).values
        (gradient,) = torch.autograd.grad((best[:, 0] - best[:, 1:].sum(-1)).sum(), seen.pop())
        found = gradient[batch["attention_mask"]]
        moment += found.T @ found
    hook.remove()
    values, vectors = torch.linalg.eigh(moment / moment.trace() * len(moment) + _FLOOR * torch.eye(len(moment)))
    return vectors * values.sqrt() @ vectors.T


def _factorise(student: Any, teacher: Any, tokens: list[dict[str, Any]], root: Any) -> None:
    """Tables by one decomposition of all of them, weighted, so that they share a basis; then the projection."""
    import torch

    old, new = teacher.bert.embeddings, student.electra.embeddings
    names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    tables = [getattr(old, name).weight for name in names]
    _, _, basis = torch.linalg.svd((tables[0] - tables[0].mean(0)) @ root, full_matrices=False)
    basis = root @ basis[: new.word_embeddings.weight.shape[1]].T
    for name, table in zip(names, tables, strict=True):
        getattr(new, name).weight.copy_(table @ basis)
    inputs, wanted = [], []
    for batch in tokens:
        mask = batch["attention_mask"]
        given = {"input_ids": batch["input_ids"], "token_type_ids": batch["token_type_ids"]}
        inputs.append(new(**given)[mask])
        wanted.append(old(**given)[mask])
    weight, bias = _fitted(torch.cat(inputs).double(), torch.cat(wanted).double())
    student.electra.embeddings_project.weight.copy_(weight)
    student.electra.embeddings_project.bias.copy_(bias)


def _fitted(given: Any, wanted: Any) -> tuple[Any, Any]:
    """Weight and bias of the linear layer that takes (n, a) to (n, b), by ridge regression.

    Plain least squares would not do: what comes out of a layer norm has the mean 0, so that the data say nothing of one
    direction, and a weight without bounds there makes nonsense of the least rounding or dropout.
    """
    import torch

    middle, aim = given.mean(0), wanted.mean(0)
    x, y = given - middle, wanted - aim
    ridge = _RIDGE * x.square().mean() * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(x.T @ x + ridge, x.T @ y).T
    return weight.float(), (aim - weight @ middle).float()
