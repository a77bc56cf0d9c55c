"""A command that was given `--device`: what the user typed, as it is asked of the board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.boards.connect import board_behind, connect
from edgewright.boards.remote import Remote
from edgewright.cli._options import GIVEN, asked
from edgewright.errors import DataError
from edgewright.system.files import read_capped

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgewright.boards.native.place import NativePlace
    from edgewright.boards.place import There
    from edgewright.boards.remote import Answer

__all__ = ["ask", "there"]

_MOST_BYTES = 2**26
"""A choice: what travels is packed, and an answer of 3 MiB comes back; more is split in any case."""
_OURS = {"device", "root", "python", "as_json", "quiet"}
_NO_PROGRESS = ("profile", "run")
"""Commands that show none: an older edgewright on a board knows no --quiet of theirs."""


def ask(*, keep: Collection[str] = (), takes: Collection[str] = (), **read: Any) -> Answer:
    """Run the command at hand on its `--device`, with the options that were typed.

    Files that an option names are sent along. The options called `keep` stay here; for those in `takes` the command
    there writes a file, which comes back under the option's name, whether they were typed or not. What is `read` of
    options already is for a device without Python, where nobody else reads them.
    """
    context = click.get_current_context()
    given, command = context.params, context.command
    bundle = next(str(one.name) for one in command.params if isinstance(one, click.Argument))
    board = board_behind(connect(given["device"]), root=given["root"], python=given["python"])
    if board.native:
        from edgewright.boards.native.commands import native_answer

        return native_answer(board, given[bundle], str(command.name), {**given, **read, "answers": asked(given)})
    words, texts, files = [str(command.name), "{bundle}"], [], dict[str, bytes]()
    for parameter in command.params:
        name = str(parameter.name)
        typed = context.get_parameter_source(name) in GIVEN
        if name == bundle or name in _OURS or name in takes or name in keep or not typed:
            continue
        if isinstance(parameter, click.Argument):
            texts = list(given[name])
        elif getattr(parameter, "is_flag", False):
            words += [parameter.opts[-1]] if given[name] else []
        elif isinstance(parameter.type, click.Path):
            sent = _sendable(given[name], {*files, *takes})
            files[sent] = _read(given[name])
            words.append(f"{_long(parameter)}={{files}}/{sent}")
        else:
            words.append(f"{_long(parameter)}={given[name]}")
    known = {str(parameter.name): parameter for parameter in command.params}
    words += [f"{_long(known[name])}={{files}}/{name}" for name in takes]
    words += ["--json", *([] if command.name in _NO_PROGRESS else ["--quiet"]), *(["--", *texts] if texts else [])]
    remote = Remote(given["device"], given["root"], given["python"])
    return remote.ask(given[bundle], words, files=files, takes=takes)


def there(bundle: str, options: Mapping[str, Any]) -> There | NativePlace:
    """The place of `--device`, `--root` and `--python`. Raises UsageError: it is emulated."""
    from edgewright.boards.place import place_at

    return place_at(options["device"], bundle, root=options["root"], python=options["python"])


def _long(parameter: Any) -> str:
    return next(str(name) for name in parameter.opts if name.startswith("--"))


def _sendable(path: str, taken: Collection[str] = ()) -> str:
    """A file's name as it is sent, none of those taken; standard input is a file of lines."""
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in Path(path).name
    )
    name = "stdin.txt" if path == "-" else plain.lstrip(".-") or "data"
    while name in taken:  # by a file of the same name in another directory
        name = f"_{name}"
    return name


def _read(path: str) -> bytes:
    try:
        return read_capped(Path("/dev/stdin" if path == "-" else path), _MOST_BYTES, DataError, hint="split it")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
