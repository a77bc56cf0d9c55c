"""What a release must pass on a board before and after it is active."""

from __future__ import annotations

from dataclasses import dataclass

from edgewright.system.interpreter import line, there

__all__ = ["Checks", "serving"]

_ASK = tuple(there("", "edgewright", "ask", "{socket}", "--health", "--json")[1:])

_SERVE = ("serve", "{bundle}", "--socket", "{socket}")

_VERIFY = ("verify", "{bundle}", "--json", "--quiet")


@dataclass(frozen=True)
class Checks:
    """What a release must pass on the board: argument vectors there.

    `{bundle}` in them stands for its directory, `{python}` for the store's Python, or the one that answers. Each ends
    with 0 if all is well; rows that it prints as `--json` does are kept, and one must name an engine.

    Attributes:
        probe: starts the engines that the bundle wants, before anything is sent; empty for none.
        self_test: proves the release where it lies, before it is active.
        health: looks at it through `current`, when it is.
        ask: the words by which the Python that serves it, if one does, asks at `{socket}` whether the service is well.
        timeout_s: for each of them.
    """

    probe: tuple[str, ...]
    self_test: tuple[str, ...]
    health: tuple[str, ...]
    timeout_s: float = 600.0
    ask: tuple[str, ...] = _ASK

    @classmethod
    def of(cls, python: str, formats: tuple[str, ...], timeout_s: float) -> Checks:
        """By the edgewright of a Python, "" for `{python}`: golden cases in every engine, then one by `current`."""
        python = python or "{python}"
        probe = line(python, "from edgewright.doctor import require_engine; require_engine(sys.argv[1:])", *formats)
        verify = there(python, "edgewright", *_VERIFY)
        return cls(tuple(probe), tuple(verify), (*verify, "--quick"), timeout_s)


def serving(python: str) -> tuple[str, ...]:
    """The argument vector of a service, by the edgewright of a Python, "" for `{python}`, as in `Checks`."""
    return tuple(there(python or "{python}", "edgewright", *_SERVE))
