"""The argument vectors of what a board is asked to run, by a Python of any version that may be there.

A board may have an older edgewright: it is asked for modules by the names that they have in every version.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from edgewright.contracts.board_commands import Engines, Health, Program, Server, Verify
from edgewright.system.interpreter import line, there

if TYPE_CHECKING:
    from edgewright.contracts.board_commands import Command

__all__ = ["Place", "argv"]

_ENGINES = "from edgewright.doctor import require_engine; require_engine(sys.argv[1:])"
_SAME = (
    "from edgewright import __version__ as found; from edgewright.doctor import require_engine; "
    "require_engine(sys.argv[2:]); sys.exit(found != sys.argv[1] and f'edgewright {found}, {sys.argv[1]} is here')"
)
_STAMPED = "stamps = [sys.argv.pop() for _ in range({})]; "
_OPENED = """
import base64, importlib.util
if importlib.util.find_spec("onnxruntime"):
    import onnxruntime
    for stamp in stamps:
        try:
            onnxruntime.InferenceSession(base64.b64decode(stamp), providers=["CPUExecutionProvider"])
        except Exception as error:
            newer = "an artifact's ONNX is none that onnxruntime " + onnxruntime.__version__ + " opens: "
            said = str(error).partition(") ")[2]
            sys.exit(newer + (said if len(said) < 240 else said[:140] + " ... " + said[-90:]))
"""
"""The engine itself is asked; what it answers begins with a place in its own source, and names both numbers."""


class Place(NamedTuple):
    """Where a command runs: the Python of one that names none, the release's directory, the service's socket."""

    python: str
    bundle: str = ""
    socket: str = ""


def argv(command: Command, place: Place) -> list[str]:
    """The argument vector of a command at a place."""
    if isinstance(command, Program):
        words = {"{python}": place.python, "{bundle}": place.bundle}
        return [words.get(word, word) for word in command.argv]
    python: str = getattr(command, "python", "") or place.python
    if isinstance(command, Engines):
        if command.stamps:
            stamps = [base64.b64encode(stamp).decode() for stamp in command.stamps]
            code = _STAMPED.format(len(stamps)) + _ENGINES + _OPENED
            return line(python, code, *command.formats, *stamps)
        same = (command.version,) if command.version else ()
        return line(python, _SAME if same else _ENGINES, *same, *command.formats)
    return there(python, "edgewright", *_words(command, place))


def _words(command: Command, place: Place) -> list[str]:
    """The words of a command of edgewright's own."""
    if isinstance(command, Verify):
        return ["verify", place.bundle, "--json", "--quiet", *(["--quick"] if command.quick else [])]
    if isinstance(command, Server):
        return ["serve", place.bundle, "--socket", place.socket]
    if isinstance(command, Health):
        return ["ask", place.socket, "--health", "--json"]
    raise TypeError(f"a board cannot run {command}")
