"""Every reader of the product, with a good input to spoil: each takes a directory of its own and a source of luck.

A reader is done well if it takes the input, or refuses it by one of our errors with an exit code from 2 to 6.
"""

import dataclasses
import functools
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import msgspec
import mutate
from measured import FOUND, row, run, samples
from onboard import tiny, wheel
from onnx_wire import empty_model

from edgewright.boards import agent, wire
from edgewright.boards.catalogue import read_profile
from edgewright.boards.flash import flash, rollback, status
from edgewright.boards.many import read_hosts
from edgewright.bundle import keys, manifest
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.external_data import check_file
from edgewright.bundle.packing import pack, unpack
from edgewright.bundle.rotation import roots_in
from edgewright.compression import recipe
from edgewright.contracts import board as requests
from edgewright.contracts import board_answers as answers
from edgewright.contracts.board_commands import Checks, Engines
from edgewright.data import rows as data
from edgewright.devices._fake.board import Fake
from edgewright.devices._onboard import wheel as wheels
from edgewright.devices._onboard.agent import told
from edgewright.devices._onboard.disk import RealDisk
from edgewright.devices._onboard.journal import Journal
from edgewright.devices._onboard.unit import Unit
from edgewright.errors import BundleError, DeviceError
from edgewright.inference.footprint import least_memory_mib
from edgewright.measure import process, profile, rows
from edgewright.measure.regression import with_baseline
from edgewright.model.source import open_source
from edgewright.registry import load, names
from edgewright.reporting.report import report
from edgewright.serving.client import Client
from edgewright.serving.model import items_of, parsed
from edgewright.system import arrays, toml, vitals
from edgewright.system.child import _Answer
from edgewright.system.files import read_capped
from edgewright.text.tokenizer import Tokenizer

READERS = {}
ROOT = Path(__file__).parents[2]


def reader(function):
    """Put a reader into the table, by its name."""
    READERS[function.__name__] = function
    return function


class Seeds:
    """Good inputs, made once: a bundle, a source, files of rows, a board with releases."""

    def __init__(self, bundle, source, folder):
        self.bundle, self.source, self.folder = bundle, source, folder
        self.manifest = json.loads((bundle / "manifest.json").read_bytes())
        self.golden = json.loads((bundle / "golden.json").read_bytes())
        self.packed = pack(bundle, folder / "packed.tar").read_bytes()
        self.run = run(row(samples(1.0)), row(samples(2.0), tokens=64))
        self.rows = json.loads(manifest.encode(self.run))
        self.profile = json.loads(manifest.encode(profile.Kept(profile=FOUND)))
        self.wheel = wheel(folder, "edgewright", 1).read_bytes()
        self.versions = {n: Bundle.open(tiny(folder / f"v{n}", n)) for n in (1, 2, 3)}
        self.board = Fake()
        for version in (1, 2):
            flash(self.versions[version], self.board)

    def fresh(self):
        """A board with two releases."""
        board = Fake()
        board.disk = self.board.disk.copy()
        return board


def placed(folder, name, luck, good, spoil):
    """A spoiled file in a directory, now and then no file at all."""
    path = folder / name
    if luck.random() < 0.03:
        mutate.odd(path, luck, good)
    else:
        path.write_bytes(spoil)
    return path


def some(luck, seed):
    """Spoiled bytes of JSON: as a tree mostly, else as bytes."""
    if luck.random() < 0.8:
        return mutate.tree(seed, luck)
    return mutate.blob(json.dumps(seed).encode(), luck)


# bundles


@reader
def bundle(seeds, folder, luck):
    """A bundle whose manifest was spoiled, with what is asked of one before anything runs."""
    place = folder / "bundle"
    shutil.copytree(seeds.bundle, place, copy_function=lambda a, b: Path(b).hardlink_to(a))
    (place / "manifest.json").unlink()
    placed(place, "manifest.json", luck, b"{}", some(luck, seeds.manifest))
    found = Bundle.open(place)
    found.check_hashes()
    repr(found), found._repr_html_(), found.choice(), found.golden(), least_memory_mib(found), found.task()
    pack(found, folder / "out.tar")


@reader
def bundle_files(seeds, folder, luck):
    """A bundle in whose directory something lies that should not, or not as it should."""
    place = folder / "bundle"
    shutil.copytree(seeds.bundle, place)
    every = [path for path in place.rglob("*") if path.is_file()]
    victim = luck.choice(every)
    if luck.random() < 0.3:
        try:
            mutate.odd(victim.with_name(luck.choice(("extra", *mutate.WORDS)) or "x"), luck, b"x")
        except (OSError, ValueError):  # no name of a file
            (place / "extra").touch()
    else:
        data = victim.read_bytes()
        victim.unlink()
        placed(victim.parent, victim.name, luck, data, mutate.blob(data, luck))
    Bundle.open(place).check_hashes()


@reader
def golden(seeds, folder, luck):
    path = placed(folder, "golden.json", luck, b"{}", some(luck, seeds.golden))
    try:
        content = read_capped(path, 2**20)
    except OSError as error:  # whoever reads says what it was for
        raise BundleError(str(error)) from error
    manifest.encode(manifest.decode(content, manifest.Golden, "golden.json"))


@reader
def packed(seeds, folder, luck):
    """A packed bundle: its bytes, or its members anew, some of them hostile."""
    if luck.random() < 0.6:
        content = mutate.blob(seeds.packed, luck)
    else:
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(seeds.packed)) as old, tarfile.open(fileobj=out, mode="w") as new:
            for member in old:
                body = old.extractfile(member).read()
                if luck.random() < 0.2:
                    member.name = luck.choice((*mutate.WORDS, member.name, member.name.upper()))
                    member.type = luck.choice(
                        (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
                    )
                    member.linkname = "/etc/passwd"
                if luck.random() < 0.1:
                    body = mutate.blob(body, luck)
                    member.size = len(body)
                try:
                    new.addfile(member, io.BytesIO(body))
                except (ValueError, UnicodeError):  # no name of a member
                    continue
        content = out.getvalue()
    unpack(placed(folder, "b.tar", luck, seeds.packed, content), folder / "out")


@reader
def onnx_file(seeds, folder, luck):
    """What a model names outside of itself."""
    del seeds
    path = placed(folder, "model.onnx", luck, b"", mutate.blob(_onnx(), luck))
    if path.is_file() and not path.is_symlink():  # as a bundle has it
        check_file("onnx", path, "onnx/model.onnx", luck.choice((None, 0, 100, 2**40)))


@reader
def tflite_file(seeds, folder, luck):
    del seeds
    path = placed(folder, "model.tflite", luck, b"", mutate.blob(_tflite(), luck))
    if path.is_file() and not path.is_symlink():
        check_file("tflite", path, "tflite/model.tflite", None)


@functools.cache
def _onnx():
    """A model with a node, a subgraph, and a tensor beside it."""
    from onnx import TensorProto, helper

    external = helper.make_tensor("w", TensorProto.FLOAT, [2], [0.0, 0.0])
    external.ClearField("float_data")
    external.data_location = TensorProto.EXTERNAL
    for key, word in (("location", "model.onnx.data"), ("offset", "0"), ("length", "8")):
        entry = external.external_data.add()
        entry.key, entry.value = key, word
    inner = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])], "inner", [], [helper.make_tensor_value_info("c", 1, [2])]
    )
    node = helper.make_node("If", ["k"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("k", 9, [])],
        [helper.make_tensor_value_info("y", 1, [2])],
        [external],
    )
    return helper.make_model(graph).SerializeToString() + empty_model(b"more" * 20)


@functools.cache
def _tflite():
    """A file of the format with a table of operators and some buffers, by hand: no engine is needed for it."""
    import flatbuffers

    made = flatbuffers.Builder(256)
    made.StartVector(1, 4, 1)
    made.PrependUint8(7)
    content = made.EndVector()
    made.StartObject(3)
    made.PrependUOffsetTRelativeSlot(0, content, 0)
    buffer = made.EndObject()
    made.StartVector(4, 1, 4)
    made.PrependUOffsetTRelative(buffer)
    buffers = made.EndVector()
    word = made.CreateString("Custom")
    made.StartObject(4)
    made.PrependUOffsetTRelativeSlot(1, word, 0)
    code = made.EndObject()
    made.StartVector(4, 1, 4)
    made.PrependUOffsetTRelative(code)
    codes = made.EndVector()
    made.StartObject(10)
    made.PrependUOffsetTRelativeSlot(1, codes, 0)
    made.PrependUOffsetTRelativeSlot(4, buffers, 0)
    made.Finish(made.EndObject(), b"TFL3")
    return bytes(made.Output())


# what people write


RECIPE = b"""
[[step]]
kind = "prune-magnitude"
sparsity = 0.5
[[step]]
kind = "store"
"""


@reader
def recipe_file(seeds, folder, luck):
    del seeds
    every = [path.read_bytes() for path in sorted((ROOT / "tools/recipes").glob("*.toml"))] or [RECIPE]
    seed = luck.choice(every)
    recipe.read(placed(folder, "recipe.toml", luck, seed, mutate.blob(seed, luck)))


@reader
def board_profile(seeds, folder, luck):
    del seeds
    seed = luck.choice(sorted((ROOT / "devices/profiles").glob("*.toml"))).read_bytes()
    found = read_profile(placed(folder, "board.toml", luck, seed, _toml(seed, luck)))
    repr(found)


def _toml(seed, luck):
    """A value of a TOML file replaced by another, or its bytes damaged."""
    if luck.random() < 0.5:
        return mutate.blob(seed, luck)
    lines = seed.split(b"\n")
    at = luck.choice([at for at, line in enumerate(lines) if b" = " in line])
    key = lines[at].partition(b" = ")[0]
    words = [json.dumps(word).encode() for word in mutate.WORDS if word.isprintable()]
    lines[at] = (
        key + b" = " + luck.choice((b"inf", b"nan", b"-1", b"9" * 5000, b"[]", b"{}", b"1979-05-27", b"true", *words))
    )
    return b"\n".join(lines)


@reader
def hosts_file(seeds, folder, luck):
    del seeds
    seed = b"ssh://pi@kitchen  # the first\nadb://SERIAL\nlocal\n"
    read_hosts(placed(folder, "hosts", luck, seed, mutate.blob(seed, luck)))


TSV = b"sentence\tlabel\na charming journey\tpositive\nit drags\tnegative\n"
JSONL = b'{"sentence": "a charming journey", "label": "positive"}\n{"text": "it drags", "label": 0}\n["a", "b"]\n"c"\n'
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "in Rome",
                    "qas": [{"question": "where?", "id": "1", "answers": [{"text": "Rome", "answer_start": 3}]}],
                }
            ]
        }
    ]
}


@reader
def rows_of_data(seeds, folder, luck):
    """Labelled rows in each of the forms, as each task takes them."""
    name = luck.choice(("a.tsv", "a.jsonl", "a.json", "a.txt"))
    seed = {"a.tsv": TSV, "a.jsonl": JSONL, "a.json": json.dumps(SQUAD).encode(), "a.txt": TSV}[name]
    spoiled = some(luck, SQUAD) if name == "a.json" else mutate.blob(seed, luck)
    path = placed(folder, name, luck, seed, spoiled)
    task = load("tasks", luck.choice(sorted(names("tasks"))))(_settings(seeds))
    if path.is_fifo():
        return
    data.examples(path, task)


@reader
def texts_of_data(seeds, folder, luck):
    del seeds
    name = luck.choice(("a.jsonl", "a.txt", "a.tsv"))
    path = placed(folder, name, luck, JSONL, mutate.blob(JSONL, luck))
    if not path.is_fifo():
        data.texts(path)
        list(data.items(path))


@reader
def parquet_rows(seeds, folder, luck):
    path = placed(folder, "a.parquet", luck, b"", mutate.blob(_parquet(), luck))
    data.examples(path, load("tasks", "text-classification")(_settings(seeds)))


@functools.cache
def _parquet():
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.table({"sentence": ["good", "bad"] * 20, "label": ["positive", "negative"] * 20}), out)
    return out.getvalue()


def _settings(seeds):
    return msgspec.convert(seeds.manifest["settings"], manifest.Settings)


# sources


@reader
def source(seeds, folder, luck):
    """A model's own files, before its weights are looked at."""
    place = folder / "model"
    shutil.copytree(seeds.source, place, copy_function=lambda a, b: Path(b).hardlink_to(a))
    name = luck.choice(
        ("config.json", "tokenizer_config.json", "README.md", "modules.json", "model.safetensors.index.json")
    )
    good = (
        (place / name).read_bytes()
        if (place / name).exists()
        else json.dumps([{"type": "a.Pooling", "path": "1_Pooling"}]).encode()
    )
    (place / name).unlink(missing_ok=True)
    spoiled = mutate.blob(good, luck) if name == "README.md" else some(luck, json.loads(good))
    placed(place, name, luck, good, spoiled)
    found = open_source(place)
    found.licence(), found.weight_bytes()


@reader
def tokenizer(seeds, folder, luck):
    """tokenizer.json and its configuration, and a text through what loads."""
    place = folder / "tokenizer"
    place.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(seeds.source / name, place / name)
    name = luck.choice(("tokenizer.json", "tokenizer_config.json"))
    good = (place / name).read_bytes()
    (place / name).unlink()
    placed(place, name, luck, good, some(luck, json.loads(good)))
    found = Tokenizer(place, 64)
    found.encode([luck.choice(("a good film", *mutate.WORDS))])
    found.windows([("where?", "in Rome " * 90)])
    found.decode([1, 2, 3])


# measurements


@reader
def rows_file(seeds, folder, luck):
    """A file of rows, and the page and the comparison that are made of it."""
    found = rows.read(placed(folder, "run.json", luck, b"{}", some(luck, seeds.rows)))
    page = report(found, (FOUND,))
    (
        page.html(),
        page.markdown(),
        repr(found),
        found._repr_html_(),
        with_baseline(found, seeds.run),
        with_baseline(seeds.run, found),
    )


@reader
def profile_file(seeds, folder, luck):
    path = placed(folder, "profile.json", luck, b"{}", some(luck, seeds.profile))
    found = profile.read(path)
    profile.shares(found), profile.shares(found, "layer"), profile.chrome_trace(found), profile.fallbacks(found)
    report(seeds.run, (path,)).html()


@reader
def measuring_process(seeds, folder, luck):
    """What a measuring process elsewhere prints."""
    del folder
    artifact = seeds.manifest["artifacts"][0]
    del artifact
    moment = {"load": 1.0}
    series = {"tokens": 3, "lengths": [3], "samples_ms": [1.0, 2.0], "others": 0.0, "before": moment, "after": moment}
    seed = {"import_ms": 1.0, "modules": 3, "load_ms": 2.0, "first_ms": 3.0, "series": [series]}
    asked = process.AskTimes(format="onnx", precision="fp32", threads=1, tokens=(3,), texts=(), runs=2)
    process.answered(
        asked, some(luck, luck.choice((seed, {"error": {"code": "gate-failed", "message": "m", "hint": ""}})))
    )


# boards


@reader
def board_request(seeds, folder, luck):
    """A call to a board, as it comes over the wire."""
    del folder
    board, one = seeds.fresh(), seeds.versions[3]
    candidate = requests.Candidate((one.directory / "manifest.json").read_bytes(), b"", allow_downgrade=False)
    checks = Checks.of(Engines(("onnx",)), 60.0)
    asked = luck.choice(
        (
            requests.List(), requests.Inspect(), requests.RollBack(heal=False, checks=checks), requests.Uninstall(), requests.End("t"),
            requests.Prepare("t", "", candidate, checks, None, {"python": 3.0}), requests.Install("t", candidate, checks, None),
            requests.Offer("t", "", (requests.WheelFile("a.whl", 5, "0" * 64, 9, 1),)), requests.Serve(None, 5.0),
            requests.Examine(candidate, checks.probe, 5.0), requests.Rekey(b"{}"),
        )
    )  # fmt: skip
    spoiled = mutate.tree(wire.plain(requests.Call("/data/edgewright", requests.Asker("a", "b", 1), asked)), luck)
    try:
        call = json.loads(spoiled)
    except (ValueError, RecursionError):
        return
    said = wire.unframe(told(board.disk, _machine(board), call, lambda root: root))
    assert said, "no answer"
    if "error" in said:
        code = said["error"]["code"]
        assert code != "edgewright-error", said


def _machine(board):
    from edgewright.devices._fake.board import _Programs

    return _Programs(board)


ANSWERS = {
    requests.List: answers.Listing("/r", "", "", "", "", 0, (), ()),
    requests.Inspect: answers.Status("/r", "a", "a", "", "", 1, ("onnx",), (answers.Row("a", "active", 1, 5, ""),), 5, False, 1, 2, ("f",), (answers.Event("a", "b", 1),), answers.Chain(1, "aa", ""), None),
    requests.Prepare: answers.Prepared("", "", "/r/incoming", (answers.Wanted("a", 1, "0" * 64),), None),
    requests.Install: answers.Installed("a", ({"engine": "e", "n": 1},), "", "", ""),
    requests.RollBack: answers.Rolled("a", "b", ""),
    requests.Uninstall: answers.Removed(("a",)),
    requests.Rekey: answers.Rekeyed(1, 2, 1, ("a",), ("r",)),
    requests.Visit: answers.Visited(0, {"": b"x"}, ""),
    requests.Examine: answers.Survey("3.11", "cpython", "aarch64", "2.36", ""),
}  # fmt: skip


@reader
def board_answer(seeds, folder, luck):
    """What a board answers: framed, banner and all, or a record of an error."""
    del seeds, folder
    kind = luck.choice(list(ANSWERS))
    good = (
        {"result": wire.plain(ANSWERS[kind])}
        if luck.random() < 0.8
        else {"error": {"code": "bundle-error", "message": "m", "hint": "h"}}
    )
    line = some(luck, good).replace(b"\n", b" ")
    printed = (
        mutate.blob(wire.frame(good), luck) if luck.random() < 0.2 else b"Welcome\n\nedgewright-answer: " + line + b"\n"
    )
    tree = wire.unframe(printed)
    if tree is not None:
        fields = {field.name: _dummy for field in dataclasses.fields(kind)}
        found = agent.heard(tree, kind(**dict.fromkeys(fields)))
        repr(found)


_dummy = None


@reader
def board_disk(seeds, folder, luck):
    """What lies on a board: state, journal, notes, scripts, versions, units; then status, a flash, a way back."""
    del folder
    board = seeds.fresh()
    tree = board.disk.tree(board.root)
    every = [
        path for path, kind in tree.items() if kind == "file" and "/releases/" not in path and "/blobs/" not in path
    ]
    more = (f"{board.root}/keys", f"{board.root}/env", f"{board.root}/env/bin")
    for path in more:
        if board.disk.stat(path) is None:
            board.disk.mkdir(path, 0o755)
    victim = luck.choice(
        [
            *every,
            f"{board.root}/newest",
            f"{board.root}/env/bin/python",
            f"{board.root}/keys/oldest",
            f"{board.root}/incoming/session.json",
        ]
    )
    good = (
        board.disk.peek(victim)
        if victim in tree
        else b'#!/bin/sh\n# {"key": "k", "python": "p", "trees": [], "engines": []}\n{"token": "t"}'
    )
    try:
        spoiled = mutate.tree(json.loads(good), luck) if luck.random() < 0.5 else mutate.blob(good, luck)
    except ValueError:
        spoiled = mutate.blob(good, luck)
    handle = board.disk.open(victim, "write")
    board.disk.write(handle, spoiled)
    board.disk.close(handle)
    for act in (status, lambda board: flash(seeds.versions[3], board), rollback):
        try:
            act(board)
        except (DeviceError, BundleError):
            continue


@reader
def unit_file(seeds, folder, luck):
    """A unit of systemd that someone else may have written."""
    del seeds, folder
    good = str(Unit("/data/edgewright", ("python3", "-m", "edgewright"), "000001-" + "0" * 12)).encode()
    found = Unit.read(mutate.blob(good, luck).decode(errors="replace"))
    if found:
        repr(found)


@reader
def board_wheel(seeds, folder, luck):
    """A wheel as a board lays it out."""
    if luck.random() < 0.5:
        content = mutate.blob(seeds.wheel, luck)
    else:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            name = luck.choice(mutate.WORDS).encode("utf-8", "replace").decode()  # an archive holds no other
            archive.writestr(zipfile.ZipInfo(name), b"x" * luck.choice((0, 5, 10**6)))
            archive.writestr("a.dist-info/RECORD", mutate.blob(b"a.py,sha256=abc,3\n", luck))
        content = out.getvalue()
    wheels.lay_out(RealDisk(), content, str(folder / "tree"), 2**20)
    wheels.whole(RealDisk(), str(folder / "tree"))


@reader
def keys_file(seeds, folder, luck):
    """A file of roots of keys, whose signatures are asked for where it is one."""
    del seeds
    root = {"version": 2, "threshold": 1, "keys": {"a@b": "ssh-ed25519 " + "A" * 68, "c": "ssh-rsa " + "B" * 300}}
    text = some(luck, root).decode(errors="replace") if luck.random() < 0.7 else json.dumps(root)
    first = {"root": keys.text_of(1, 1, {"a@b": root["keys"]["a@b"]}), "signatures": "signed by a@b"}
    tree = {"schema": 1, "roots": [first, {"root": text, "signatures": "signed by c"}]}
    data = json.dumps(tree).encode() if luck.random() < 0.5 else some(luck, tree)
    path = placed(folder, "keys.json", luck, b"{}", data)
    roots = roots_in(path)
    keys.followed(roots[0], roots, who=lambda *given: given[1].decode(errors="replace"))
    assert keys.read_roots(keys.written(roots), "again") == roots


@reader
def board_journal(seeds, folder, luck):
    """A journal and its head, as they lie on a board's disk; a note can be added to any."""
    del folder
    board = seeds.fresh()
    for name in ("journal.jsonl", "journal.head"):
        path = f"{board.root}/{name}"
        good = board.disk.peek(path)
        handle = board.disk.open(path, "write")
        board.disk.write(handle, mutate.blob(good, luck))
        board.disk.close(handle)
    journal = Journal(board.disk, board.root)
    journal.chain(), journal.last(20)
    journal.note("said", "more")
    assert journal.last(1)[0].why == "more"
    found = journal.chain()
    if "altered" not in found.problem and "missing" not in found.problem:
        raise BundleError("nothing was spoiled")


class _Kernel(vitals.Here):
    """A kernel that tells what cannot be."""

    def __init__(self, luck):
        self.luck = luck

    def text(self, path):
        found = super().text(path)
        return (
            mutate.blob((found or "12").encode(), self.luck).decode(errors="replace")
            if self.luck.random() < 0.5
            else found
        )


@reader
def kernel_files(seeds, folder, luck):
    del seeds, folder
    vitals.machine_state(_Kernel(luck))
    vitals.busy_s(_Kernel(luck))


# serving and children


@reader
def serving_request(seeds, folder, luck):
    del seeds, folder
    tree = parsed(some(luck, luck.choice(({"texts": ["a", ["b", "c"]]}, {"health": True}))))
    if "texts" in tree:
        items_of(tree["texts"], 1024)


class _Line:
    """A socket's end at which one line lies."""

    def __init__(self, line):
        self.line = line

    def sendall(self, _):
        pass

    def readline(self, most):
        return self.line[:most]

    def close(self):
        pass


@reader
def serving_answer(seeds, folder, luck):
    del seeds, folder
    client = object.__new__(Client)
    good = luck.choice(
        (
            {"rows": [{"text": "a", "answer": 1}]},
            {"health": {"status": "ok"}},
            {"error": {"code": "data-error", "message": "m"}},
        )
    )
    client.path, client._socket, client._lines = "/s", _Line(b""), _Line(some(luck, good))
    client("a text") if luck.random() < 0.7 else client.health()


@reader
def child_answer(seeds, folder, luck):
    """What a child writes on its pipe."""
    del seeds, folder
    answer = _Answer()
    lines = some(
        luck, luck.choice(({"result": [1]}, {"progress": "x"}, {"error": {"code": "gate-failed", "message": "m"}}))
    )
    answer.read(io.StringIO(lines.decode(errors="replace") + "\n"))


@reader
def array_file(seeds, folder, luck):
    """What lies in a directory of our own, all the same."""
    del seeds
    import numpy as np

    place = folder / "a.npz"
    arrays.save(place, [{"ids": np.arange(6).reshape(2, 3)}])
    place.write_bytes(mutate.blob(place.read_bytes(), luck))
    arrays.load(place)


@reader
def toml_file(seeds, folder, luck):
    del seeds
    toml.read_toml(placed(folder, "a.toml", luck, RECIPE, mutate.blob(RECIPE, luck)))
