"""Bundles pushed to a hub and pulled from it by huggingface_hub's real client, and by directories."""

import json
import os
import subprocess
import sys

import pytest
from hub_world import TOKEN, serving

from edgewright import pull, push
from edgewright.bundle.bundle import Bundle
from edgewright.errors import BundleError, HubError, MissingExtra, StorageError, UsageError

REPO = "someone/sentiment"


def contents(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


# directories


def test_a_directory_stands_for_a_hub(bundle_dir, tmp_path):
    where = push(bundle_dir, str(tmp_path / "stick" / "sentiment"))
    assert contents(tmp_path / "stick" / "sentiment") == contents(bundle_dir)
    assert pull(where, tmp_path / "back").directory == tmp_path / "back"
    assert contents(tmp_path / "back") == contents(bundle_dir)


def test_what_lies_beside_the_bundle_does_not_travel(bundle_dir, tmp_path):
    for name in (".gitattributes", ".DS_Store", "LICENSE.md"):
        (bundle_dir / name).write_text("mine")
    (bundle_dir / ".git").mkdir()
    push(bundle_dir, tmp_path / "there")
    assert set(contents(tmp_path / "there")) == {p for p in contents(bundle_dir) if p.endswith((".json", ".onnx"))}


def test_a_directory_of_something_else_is_not_replaced(bundle_dir, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match=r"has no manifest\.json"):
        push(bundle_dir, tmp_path / "mine")


def test_a_changed_byte_is_not_pulled(bundle_dir, tmp_path):
    data = bytearray((bundle_dir / "onnx/model.onnx").read_bytes())
    data[9] ^= 1
    (bundle_dir / "onnx/model.onnx").write_bytes(data)
    for travel in (lambda: pull(bundle_dir, tmp_path / "out"), lambda: push(bundle_dir, tmp_path / "out")):
        with pytest.raises(BundleError, match=r"onnx/model\.onnx has SHA-256"):
            travel()
    assert not (tmp_path / "out").exists()


def test_without_its_client_the_line_that_brings_it_is_said(monkeypatch, bundle_dir):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as Python has it where an import shall fail
    with pytest.raises(MissingExtra) as caught:
        push(bundle_dir, REPO)
    assert "pip install 'edgewright[hub]'" in str(caught.value.hint)


@pytest.mark.parametrize("address", ["no-owner", "a/b/c", "https://huggingface.co/a/b", "a b/c", ""])
def test_what_is_neither_is_refused_before_anything_is_asked(address, bundle_dir):
    with pytest.raises(UsageError, match="is no repository of a hub"):
        push(bundle_dir, address)


# the real client


@pytest.fixture
def hub():
    with serving() as found:
        yield found


def asked(hub, tmp_path, *words, code=0, **env):
    """The command line in a process of its own: the client reads its environment as it is imported."""
    places = {"HF_ENDPOINT": hub if isinstance(hub, str) else hub.url, "HF_HOME": str(tmp_path / "home")}
    given = {**os.environ, **places, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **env}
    argv = [sys.executable, "-m", "edgewright", *map(str, words), "--quiet"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=given, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


@pytest.mark.slow
def test_a_bundle_goes_to_a_hub_and_comes_back(hub, bundle_dir, tmp_path):
    pytest.importorskip("huggingface_hub")
    said = asked(hub, tmp_path, "push", bundle_dir, REPO)
    commit, tree = hub.tree(REPO)
    assert said.strip() == f"{bundle_dir} is at {hub.url}/{REPO}/commit/{commit}"
    assert {path: data for path, data in tree.items() if path != ".gitattributes"} == contents(bundle_dir)
    assert len(hub.blobs) == 1  # the artifact went by git-lfs, the rest in the commit
    asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(bundle_dir)
    Bundle.open(tmp_path / "back").check_hashes()


@pytest.mark.slow
def test_what_the_next_bundle_lacks_goes_and_what_is_the_hubs_stays(hub, bundle_dir, tmp_path):
    asked(hub, tmp_path, "push", bundle_dir, REPO, "--private")
    assert hub.repos[REPO]["private"]
    hub.put(REPO, "old.bin", b"of an earlier bundle")
    hub.put(REPO, "README.md", b"written there")
    before = hub.tree(REPO)[0]
    row = json.loads(asked(hub, tmp_path, "push", bundle_dir, REPO, "--json"))["rows"][0]
    assert row["commit"].endswith(hub.tree(REPO)[0])
    assert set(hub.tree(REPO)[1]) == {*contents(bundle_dir), ".gitattributes", "README.md"}
    line = asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back", "--revision", "0" * 40, code=3)
    assert f"{REPO} has no such revision" in line
    asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back", "--revision", before)
    assert contents(tmp_path / "back") == contents(bundle_dir)


@pytest.mark.slow
def test_another_model_under_that_name_is_left_alone(hub, bundle_dir, tmp_path):
    asked(hub, tmp_path, "push", bundle_dir, REPO)
    hub.commit(REPO, {"config.json": b"{}", "model.safetensors": b"weights"})
    line = asked(hub, tmp_path, "push", bundle_dir, REPO, code=3)
    assert f"{REPO} holds no bundle, but 2 other files such as config.json; they are left alone" in line
    line = asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back", code=3)
    assert f"{REPO} has no manifest.json" in line
    assert not (tmp_path / "back").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("onnx/model.onnx", lambda data: data[:-1] + b"!", "onnx/model.onnx has SHA-256"),
        ("golden.json", lambda data: data + b" ", "bytes, the manifest says"),
        ("manifest.json", lambda _: b"{}", "manifest.json"),
        ("manifest.json", lambda _: b" " * (2**24 + 1), "at most 16777216 are read"),
        ("tokenizer.json", None, f"{REPO} lacks tokenizer.json"),
    ],
)
def test_a_repository_that_was_changed_is_not_pulled(hub, bundle_dir, tmp_path, path, change, words):
    asked(hub, tmp_path, "push", bundle_dir, REPO)
    tree = dict(hub.tree(REPO)[1])
    data = tree.pop(path)
    hub.commit(REPO, tree if change is None else {**tree, path: change(data)})
    assert words in asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back", code=3)
    assert not (tmp_path / "back").exists()
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


@pytest.mark.slow
def test_a_hub_that_refuses_is_broken_or_is_not_there_is_one_line(hub, bundle_dir, tmp_path):
    line = asked(hub, tmp_path, "push", bundle_dir, REPO, code=3, HF_TOKEN="hf_of_nobody")
    assert f"hub-error: {hub.url} answers 401 for {REPO}; is the name right, and may your token do this?" in line
    line = asked(hub, tmp_path, "pull", "no/body", "--out", tmp_path / "back", code=3)
    assert f"{hub.url} answers 404 for no/body" in line
    line = asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back", code=3, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set, so no hub is asked; unset it, or give a directory" in line
    line = asked("http://127.0.0.1:9", tmp_path, "pull", REPO, "--out", tmp_path / "back", code=3)
    assert f"cannot reach http://127.0.0.1:9 for {REPO}: ConnectError" in line
    hub.broken = 501
    assert "answers 501" in asked(hub, tmp_path, "pull", REPO, "--out", tmp_path / "back", code=3)


def test_without_the_client_the_extra_is_named(bundle_dir, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    from edgewright.errors import MissingExtra

    with pytest.raises(MissingExtra, match=r"huggingface_hub is not installed; run: pip install 'edgewright\[hub\]'"):
        push(bundle_dir, REPO)


def test_an_error_of_a_hub_is_one_of_what_came_in():
    assert HubError.exit_code == 3
