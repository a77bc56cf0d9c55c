"""How a result shows itself: in a line at a prompt, as a table in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edgewright.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MOST", "Results", "Shown", "brief", "table_of"]

MOST = 100
"""Characters of a result at a prompt: a line of most terminals."""


class Shown(Protocol):
    """A result that has a line in a table."""

    def cells(self) -> Mapping[str, Any]:
        """The columns' names and values; None is what it does not have."""


_Result = TypeVar("_Result", bound=Shown)


class Results(list[_Result]):
    """A list of results: a line for each at a prompt, a table in a notebook."""

    def __repr__(self) -> str:
        lines = ",\n ".join(map(repr, self))
        return f"[{lines}]"

    def _repr_html_(self) -> str | None:
        return table_of([result.cells() for result in self]) if self else None


def brief(thing: object, *facts: object) -> str:
    """A `repr` in one line of at most 100 characters: the kind of thing, and its facts; empty ones are left out."""
    words = ", ".join(str(fact) for fact in facts if fact not in (None, ""))
    return f"<{one_line(f'{type(thing).__name__} {words}', MOST - 2)}>"


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table of HTML, every text escaped; columns in which no row has anything are left out."""
    from edgewright.system.markup import table

    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    return table([{name: _cell(row.get(name)) for name in names} for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))
