"""Small bundles in versions, small wheels, and what lies on a board in memory."""

import hashlib
import json
import zipfile

from onnx_wire import empty_model

from edgewright.boards.board import Board
from edgewright.boards.install import Kit
from edgewright.bundle import manifest
from edgewright.devices._onboard.agent import answer
from edgewright.devices._onboard.disk import RealDisk
from edgewright.devices._onboard.env import Recipe
from edgewright.devices._onboard.machine import RealMachine
from edgewright.devices._onboard.wheel import listed, wheel_hash
from edgewright.devices.local import Local


def model_of(version):
    """The bytes of a model that holds none."""
    return empty_model(f"the model of version {version}".encode() * 9)


def tiny(out, version, model=b""):
    """A bundle of two files, of which only the artifact depends on the version; `model` are other bytes for it."""
    contents = {"onnx/model.onnx": model or model_of(version), "config.json": b"{}"}
    for path, content in contents.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)
    sizes = {p: {"size_bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for p, c in contents.items()}
    parity = {"texts": 1, "max_abs": 0.0, "mean_abs": 0.0, "sqnr_db": 200.0, "cosine": 1.0, "top1": 1.0}
    artifact = {"path": "onnx/model.onnx", "format": "onnx", "precision": "fp32", "inputs": [], "outputs": []}
    tree = {
        "schema": 1,
        "version": version,
        "task": "text-classification",
        "settings": {"max_length": 8},
        "artifacts": [{**artifact, **sizes["onnx/model.onnx"], "parity": {**parity, "worst_case": "short"}}],
        "files": [{"path": "config.json", **sizes["config.json"]}],
        "source": {"architecture": "Tiny", "parameters": 1, "sha256": "0" * 64},
        "toolchain": {},
    }
    record = manifest.decode(json.dumps(tree).encode(), manifest.Manifest, "manifest.json")
    (out / "manifest.json").write_bytes(manifest.encode(record))
    return out


def wheel(folder, name, version):
    """A wheel of one module, as small as they come."""
    made, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    files = {f"{name}.py": f"version = {version}\n".encode()}
    rows = [f"{path},{wheel_hash(data)},{len(data)}\n" for path, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return made


def outfitter(folder, version, *others, seen=None):
    """Kits of edgewright at a version, and of `others` that stay; what the board said is put into `seen`."""
    folder.mkdir(exist_ok=True)
    wheels = [wheel(folder, "edgewright", version), *(wheel(folder, name, 1) for name in others)]

    def choose(survey, engines):
        if seen is not None:
            seen.append((survey, engines))
        return Kit(f"kit {version}", tuple(engines), lambda _: wheels)

    return choose


def active(board):
    """The version that `current` leads to on a board in memory, every file hashed; None where nothing is installed."""
    folder = f"{board.root}/current"
    try:
        tree = json.loads(board.disk.peek(f"{folder}/manifest.json"))
    except FileNotFoundError:
        return None
    for file in (*tree["artifacts"], *tree["files"]):
        assert hashlib.sha256(board.disk.peek(f"{folder}/{file['path']}")).hexdigest() == file["sha256"], file["path"]
    return tree["version"]


def litter(board):
    """What lies on a board in memory beside its active and previous release, and their files."""
    there = board.disk.tree()
    if f"{board.root}/state.json" not in there:
        return {path for path in there if path.startswith(board.root)}
    state = json.loads(board.disk.peek(f"{board.root}/state.json"))
    kept, digests = {state["active"], state["previous"]} - {""}, set()
    for name in kept:
        tree = json.loads(board.disk.peek(f"{board.root}/releases/{name}/manifest.json"))
        digests |= {file["sha256"] for file in (*tree["artifacts"], *tree["files"])}
    wanted = {
        "current",
        "state.json",
        "journal.jsonl",
        "journal.head",
        "lock",
        "blobs",
        "releases",
        "incoming",
        "newest",
        "reserve",
    }
    wanted |= _of_environment(board) | {f"releases/{name}" for name in kept} | {f"blobs/{digest}" for digest in digests}
    found = {path.removeprefix(f"{board.root}/") for path in board.disk.tree(board.root)}
    inside = tuple(f"{path}/" for path in wanted if path.startswith(("releases/", "wheels/")))
    return {path for path in found if path not in wanted and not path.startswith(inside)}


def environment(board):
    """What the environment of a board in memory is made of, every file hashed; None where there is none."""
    script = f"{board.root}/env/bin/python"
    if script not in board.disk.tree():
        return None
    recipe = Recipe.of(json.loads(board.disk.peek(script).splitlines()[1].lstrip(b"# ")))
    for tree in recipe.trees:
        folder = f"{board.root}/wheels/{tree}"
        (record,) = [path for path in board.disk.tree(folder) if path.endswith("/RECORD")]
        for path, digest in listed(board.disk.peek(record)):
            assert wheel_hash(board.disk.peek(f"{folder}/{path}")) == digest, path
    return recipe


def _of_environment(board):
    recipe = environment(board)
    return {"env", "env/bin", "env/bin/python", "wheels", *(f"wheels/{t}" for t in recipe.trees)} if recipe else set()


class Here(Board):
    """This machine as a board, whose part of edgewright runs in the process of the test, on real files."""

    def __init__(self, root):
        super().__init__(Local(), str(root))

    def _answer(self, call, within_s):
        assert within_s > 0
        return answer(RealDisk(), RealMachine(), call)


def contents(root):
    """Every file below a directory with its bytes, every link with its target."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found
