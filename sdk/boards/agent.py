"""The board's part of a flash, sent with every request: it needs no place on the board, and is never out of date.

The modules below are standard library alone. Their source travels as one program on the standard input of the board's
Python (3.9 or newer), with the call in its last line (`edgewright.contracts.board`); the answer is a marked line
(`edgewright.boards.wire`).
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from edgewright.boards.board import Board
from edgewright.boards.wire import plain, read, unframe
from edgewright.errors import DeviceError, from_record, one_line
from edgewright.system.interpreter import DROP

if TYPE_CHECKING:
    from edgewright.contracts.board import Call, Request
    from edgewright.contracts.transport import Completed

__all__ = ["MODULES", "PythonBoard", "heard", "pack", "source_of"]

MODULES = (
    *("errors", "system.untrusted", "bundle.sshsig", "bundle.keys", "bundle.onnx_bytes"),
    *("bundle.flat_bytes", "bundle.external_data"),
    *(
        "contracts.board_commands",
        "contracts.board_answers",
        "contracts.board",
        "boards.wire",
        "_version",
        "system.limits",
        "system.vitals",
        "system.machine",
        "system.interpreter",
        "system.keeper",
    ),
    *(f"devices._onboard.{name}" for name in ("disk", "files", "commands")),
    *(f"devices._onboard.{name}" for name in ("wheel", "env", "journal", "release", "state", "session")),
    *(f"devices._onboard.{name}" for name in ("store", "machine", "keys", "checks", "unit", "service")),
    *(f"devices._onboard.{name}" for name in ("board", "send", "equip", "install", "rekey", "visit", "facts", "agent")),
)
"""In the order in which they need each other."""

_KILLED = (-9, 137)
"""By signal 9: as subprocess says it, and as a shell does."""

_OLD = re.compile(r"Python (\d+\.\d+) is too old")
"""What the program says by itself, in words that any Python 3 prints."""
_OTHER = "name another one there with --python"

_PROGRAM = """\
{drop}# not what happens to lie in the directory of the login
if sys.version_info < (3, 9):
    sys.exit("Python %d.%d is too old" % sys.version_info[:2])
import base64, json, types, zlib
for name, source in json.loads(zlib.decompress(base64.b64decode("{source}"))):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
request = "{request}"
sys.modules[name].main(json.loads(base64.b64decode(request)))
"""


class PythonBoard(Board):
    """A board with a Python, to which its part is sent with each request."""

    def _answer(self, call: Call, within_s: float) -> Any:
        python = self.python or self.way.python
        done = self.way.run([python, "-"], timeout_s=within_s, stdin=pack(call))
        tree = unframe(done.stdout)
        if tree is None:
            raise _no_answer(python, done)
        return heard(tree, call.request)


def pack(call: Call) -> bytes:
    """The program that makes a board answer a call."""
    words = base64.b64encode(json.dumps(plain(call)).encode()).decode()
    return _PROGRAM.format(drop=DROP, source=_source(), request=words).encode()


def heard(tree: dict[str, Any], request: Request[Any]) -> Any:
    """The answer to a request in what came back.

    Raises:
        EdgewrightError: the one that the board's part raised.
        DeviceError: it is none, or of a code that is not known here.
    """
    if "result" in tree:
        try:
            return read(request.answer(), tree["result"])
        except ValueError as error:
            raise DeviceError(f"the board's answer to {request.op} is not acceptable: {error}") from error
    record = tree.get("error")
    strings = isinstance(record, dict) and all(isinstance(word, str) for word in record.values())
    said = record if strings and isinstance(record, dict) else {"message": "the board's answer is unknown"}
    raise from_record(said, DeviceError)


def source_of(name: str) -> str:
    """The text of one of `MODULES`. Its package is asked: in an editable install, each lies in a place of its own."""
    package, _, module = f"edgewright.{name}".rpartition(".")
    return resources.files(package).joinpath(f"{module}.py").read_text(encoding="utf-8")


@cache
def _source() -> str:
    each = [(f"edgewright.{name}", source_of(name)) for name in MODULES]
    return base64.b64encode(zlib.compress(json.dumps(each).encode(), 9)).decode()


def _no_answer(python: str, done: Completed) -> DeviceError:
    if done.exit_code in _KILLED:
        hint = "did the board run out of memory? run it again: what was interrupted is taken back"
        return DeviceError(f"{python} was killed on the board, before it could answer", hint=hint)
    lines = done.stderr.decode(errors="replace").splitlines()
    words = next((one_line(line, 300) for line in reversed(lines) if line.strip()), "not a word")
    if old := _OLD.fullmatch(words):
        return DeviceError(f"{python} on the board is Python {old[1]}, edgewright runs on 3.10 or newer", hint=_OTHER)
    hint = "does it have Python 3.10 or newer? name it with --python"
    return DeviceError(f"{python} on the board ended with exit code {done.exit_code} and no answer: {words}", hint=hint)
