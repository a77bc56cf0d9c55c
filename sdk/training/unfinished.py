"""Runs that are not finished yet: where they lie, what they are of, and the checkpoint from which one goes on."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgewright.errors import InputError, StorageError, UsageError
from edgewright.system.files import own_record, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Unfinished", "first_alone", "is_first", "processes"]

_NOTE = "run.json"
_MADE_FIRST = {_NOTE, "corpus", "tokenizer", "tokens"}
"""What is made of the data before the first step."""


def is_first() -> bool:
    """Whether this is the process that writes: the only one, or rank 0 of those that a launcher started."""
    return int(os.environ.get("RANK", "0")) == 0


def processes() -> Any:
    """The state of the processes that a launcher started together, on CPUs where there is no GPU."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process do something before the others do it, which then find it done."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    with processes().main_process_first():
        yield


class Unfinished:
    """The run that will become `out`: checkpoints and tokenized rows in `OUT-training` beside it."""

    def __init__(self, out: Path) -> None:
        self.directory = out.with_name(f"{out.name}-training")

    def begin(self, facts: dict[str, Any], *, resume: bool) -> str | None:
        """Note what the run is of, and give the checkpoint to go on from, if there is one.

        Raises:
            StorageError: an unfinished run is there and shall not be resumed, or is one of other settings.
        """
        self.check(resume=resume)
        note = self.directory / _NOTE
        was = own_record(note) if note.is_file() else facts
        differ = sorted(name for name in {*facts, *was} if was.get(name) != facts.get(name))
        if differ:
            what = "; ".join(f"{name} was {was.get(name)}, now {facts.get(name)}" for name in differ[:3])
            what += f"; and {len(differ) - 3} more" if len(differ) > 3 else ""
            raise StorageError(f"the unfinished run in {self.directory} is another one: {what}", hint="or remove it")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not note.is_file() and any(self.directory.iterdir()):  # all that is in it goes at the end
                raise StorageError(f"{self.directory} holds something else", hint="move it, or choose another place")
        except OSError as error:
            raise StorageError(f"cannot write {self.directory}: {error.strerror}") from error
        write_whole(note, json.dumps(facts).encode())
        return self._last()

    def check(self, *, resume: bool) -> None:
        """Raise StorageError where an unfinished run is there and shall not be resumed."""
        if (self.directory / _NOTE).is_file() and not resume:
            raise StorageError(f"{self.directory} holds an unfinished run", hint="give --resume, or remove it")

    def _last(self) -> str | None:
        """The last whole checkpoint: its state is written last. Those that a kill cut off are removed."""
        found = sorted(self.directory.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        whole = [path for path in found if _is_json(path / "trainer_state.json")]
        for path in set(found) - set(whole):
            shutil.rmtree(path, ignore_errors=True)
        return str(whole[-1]) if whole else None

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Where what is given cannot be used, leave nothing behind, unless there is more than was made of it.

        Other data make another run, which could not go on from any of it.
        """
        try:
            yield
        except (InputError, UsageError):
            if is_first() and {path.name for path in self.directory.iterdir()} <= _MADE_FIRST:
                shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def end(self) -> None:
        """The run is finished, of every process: remove what only it needed."""
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            processes().wait_for_everyone()
        if is_first():
            shutil.rmtree(self.directory, ignore_errors=True)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
