"""The argument vectors of what a board is asked to run, by a Python of any version that may be there.

A board may have an older edgewright: it is asked for modules by the names that they have in every version.
"""

from __future__ import annotations

import base64
import json
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
_ASKED = "import json; asked = json.loads(sys.argv.pop()); "
_OPENED = """
import base64, importlib.util
from importlib import import_module, metadata
if importlib.util.find_spec("onnxruntime"):
    import onnxruntime
    for stamp in asked["stamps"]:
        try:
            onnxruntime.InferenceSession(base64.b64decode(stamp), providers=["CPUExecutionProvider"])
        except Exception as error:
            newer = "an artifact's ONNX is none that onnxruntime " + onnxruntime.__version__ + " opens: "
            said = str(error).partition(") ")[2]
            sys.exit(newer + (said if len(said) < 240 else said[:140] + " ... " + said[-90:]))
    schemas = getattr(onnxruntime.capi.onnxruntime_pybind11_state, "get_all_operator_schema", list)()
    known = {(one.domain + ":" if one.domain else "") + one.name for one in schemas}
    lacking = [name for name in asked["operators"] if name not in known]
    if known and lacking:
        sys.exit("onnxruntime " + onnxruntime.__version__ + " lacks operators of an artifact: " + ", ".join(lacking))
for module, package in (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime")):
    if not asked["kernels"] or not importlib.util.find_spec(module):
        continue
    interpreter, lacking = import_module(module + ".interpreter"), []
    for kernel in asked["kernels"]:
        try:
            interpreter.Interpreter(model_content=base64.b64decode(kernel))
        except Exception as error:
            said = str(error).partition(".")[0]
            if "Didn't find op" in said or "out of range" in said:
                lacking.append(said.rpartition("opcode ")[2].replace("'", ""))
    if lacking:
        sys.exit(module + " " + metadata.version(package) + " lacks operators of an artifact: " + ", ".join(lacking))
    break
"""
"""The engines themselves are asked. What ONNX Runtime answers begins with a place in its own source, and names both
numbers; LiteRT tells of one operator at a time. One that cannot tell is found by the self-test."""


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
        if command.stamps or command.operators or command.kernels:
            return line(python, _ASKED + _ENGINES + _OPENED, *command.formats, _asked(command))
        same = (command.version,) if command.version else ()
        return line(python, _SAME if same else _ENGINES, *same, *command.formats)
    return there(python, "edgewright", *_words(command, place))


def _asked(command: Engines) -> str:
    """What engines are asked, as one word."""
    models = {"stamps": command.stamps, "kernels": command.kernels}
    asked: dict[str, list[str]] = {
        name: [base64.b64encode(m).decode() for m in given] for name, given in models.items()
    }
    return json.dumps({**asked, "operators": command.operators})


def _words(command: Command, place: Place) -> list[str]:
    """The words of a command of edgewright's own."""
    if isinstance(command, Verify):
        return ["verify", place.bundle, "--json", "--quiet", *(["--quick"] if command.quick else [])]
    if isinstance(command, Server):
        return ["serve", place.bundle, "--socket", place.socket]
    if isinstance(command, Health):
        return ["ask", place.socket, "--health", "--json"]
    raise TypeError(f"a board cannot run {command}")
