"""A data set of the Hugging Face Hub, `hf://OWNER/NAME[/CONFIG][:SPLIT]`, as a directory that is read like other data.

`datasets` fetches and keeps it; one that it has before is found without a network. A directory of that name in the
working directory is taken for it, as `datasets` does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from edgewright.errors import DataError, UsageError, one_line
from edgewright.registry import require
from edgewright.system.files import home, into

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fetched", "is_address"]

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
"""What the hub allows in a name."""
_ADDRESS = re.compile(rf"hf:/{{1,2}}({_PART}/{_PART})(?:/({_PART}))?(?::({_PART}))?")
"""A path has lost one of two slashes."""


def is_address(path: str) -> bool:
    """Whether it is one of a data set."""
    return path.startswith("hf:/") or path == "hf:"


@lru_cache(maxsize=16)
def fetched(address: str) -> Path:
    """The directory of a split, as `save_to_disk` of `datasets` writes it, called NAME:SPLIT; once for its contents.

    Raises:
        UsageError: it is no address.
        MissingExtra: `datasets` is not installed.
        DataError: there is no such set, it cannot be fetched, or it has several splits and none is named.
        StorageError: there is no room to keep it.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        what = f"{address} is no address of a data set"
        raise UsageError(what, hint="give hf://OWNER/NAME:SPLIT, or hf://OWNER/NAME/CONFIG:SPLIT")
    require(("datasets",), "datasets")
    name, config, split = found.groups()
    address = f"hf://{name}{f'/{config}' if config else ''}"
    import datasets

    datasets.disable_progress_bars()
    try:
        whole = datasets.load_dataset(name, config)
    except Exception as error:  # whatever the library raises, the set is not there
        hint = "is its name right, and is there a network, or HF_HUB_OFFLINE unset?"
        raise DataError(f"cannot fetch {address}: {one_line(str(error), 200)}", hint=hint) from error
    if split not in whole and (split or len(whole) > 1):
        first = next(iter(whole))
        raise DataError(f"{address} has the splits {', '.join(whole)}", hint=f"give one of them: {address}:{first}")
    split = split or next(iter(whole))
    contents = whole[split]._fingerprint  # noqa: SLF001 - what `datasets` itself knows contents by
    kept = home("XDG_CACHE_HOME", ".cache") / "edgewright" / "datasets" / contents
    place: Path = kept / f"{config or name.rpartition('/')[2]}:{split}"
    if not place.is_dir():
        with into(place) as work:
            whole[split].save_to_disk(work)
    return place
