"""Data sets by their address: fetched by `datasets` itself, here from a directory, without a network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.data.hub_dataset import fetched, is_address
from edgewright.errors import MissingExtra, UsageError

SCRIPT = """
import json, sys
from edgewright.data.rows import fingerprint, opened
from edgewright.errors import DataError
file = opened("hf://owner/reviews:validation")
print(json.dumps([file.path.name, [row for _, row in file.rows()], fingerprint("hf:/owner/reviews:validation")]))
for address in ("hf://owner/reviews", "hf://owner/reviews:dev", "hf://owner/nothing:train"):
    try:
        opened(address)
    except DataError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_split_is_read_with_the_names_of_its_classes(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    folder = tmp_path / "owner/reviews"
    folder.mkdir(parents=True)
    info = {
        "features": [
            {"name": "text", "dtype": "string"},
            {"name": "label", "dtype": {"class_label": {"names": {"0": "bad", "1": "good"}}}},
        ]
    }
    (folder / "README.md").write_text(f"---\ndataset_info: {json.dumps(info)}\n---\n")
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text(f"text,label\na {split} film,1\nit drags,0\n")
    for name in ("HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    argv = [sys.executable, "-c", SCRIPT]
    runs = [subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    found, *errors = runs[0].stdout.splitlines()
    name, rows, digest = json.loads(found)
    assert name == "reviews:validation"
    assert rows == [{"text": "a validation film", "label": "good"}, {"text": "it drags", "label": "bad"}]
    assert len(digest) == 64
    several = "hf://owner/reviews has the splits train, validation; give one of them: hf://owner/reviews:train"
    assert errors[:2] == [several, several]
    assert errors[2].startswith("cannot fetch hf://owner/nothing: ")


@pytest.mark.parametrize("address", ["hf://", "hf://sst2", "hf://a/b:c:d", "hf://a/../b", "hf://a/b/c/d", "hf:/a b/c"])
def test_what_is_no_address_is_refused(address):
    assert is_address(str(Path(address))), "a path has lost slashes"
    with pytest.raises(UsageError, match="is no address of a data set; give hf://OWNER/NAME:SPLIT"):
        fetched(address)


def test_without_the_library_its_line_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"datasets is not installed; run: pip install 'edgewright\[datasets\]'"):
        fetched("hf://owner/missing")
