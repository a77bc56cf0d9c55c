"""What a model's file names beside itself: every place a tensor can stand, every location, bytes that are no model."""

import json
import os
import shutil
import struct
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_wire import empty_model, field, outside, tensor, varint

from edgewright import registry
from edgewright.boards.flash import flash
from edgewright.builder.artifacts import Assembly
from edgewright.bundle import bundle as bundles
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.external_data import check_content, check_file, weights_of
from edgewright.bundle.onnx_bytes import Malformed, externals, operators
from edgewright.bundle.packing import pack
from edgewright.bundle.signing import sign
from edgewright.errors import BundleError
from edgewright.inference.pipeline import load
from edgewright.measure.profile import profile
from edgewright.proof.score import evaluate
from edgewright.proof.verify import verify
from edgewright.system.files import sha256

PATH = "onnx/model.onnx"
ELSEWHERE = tensor([(b"location", b"../x"), (b"length", b"4")])
GRAPH = field(5, ELSEWHERE)
SPARSE = (field(1, ELSEWHERE), field(2, ELSEWHERE))
ATTRIBUTES = {
    "t": field(5, ELSEWHERE),
    "g": field(6, GRAPH),
    "tensors": field(10, b"") + field(10, ELSEWHERE),
    "graphs": field(11, b"") + field(11, GRAPH),
    "sparse_tensor": field(22, SPARSE[0]),
    "sparse_tensors": field(23, b"") + field(23, SPARSE[1]),
}
PLACES = {
    "initializer": field(7, GRAPH),
    "sparse values": field(7, field(15, SPARSE[0])),
    "sparse indices": field(7, field(15, SPARSE[1])),
    **{f"attribute {name}": field(7, field(1, field(5, words))) for name, words in ATTRIBUTES.items()},
    **{f"function's {name}": field(25, field(7, field(5, words))) for name, words in ATTRIBUTES.items()},
    "function's default": field(25, field(11, field(5, ELSEWHERE))),
    "training initialization": field(20, field(1, GRAPH)),
    "training algorithm": field(20, b"") + field(20, field(2, GRAPH)),
    "loop in an if": field(7, field(1, field(5, field(6, field(1, field(5, field(6, GRAPH))))))),
    "second node": field(7, field(1, field(4, b"Add")) + field(1, field(5, field(5, ELSEWHERE)))),
    "behind unknown fields": field(99, b"x" * 99) + field(98, 2**63, 0) + b"\x0d1234" + b"\x099" * 1 + b"1234567"
    + field(7, GRAPH),
}  # fmt: skip


def reader(data):
    return lambda at, count: data[at : at + count]


def check(data, *, weights=None, kind="onnx", path=PATH):
    check_content(kind, path, len(data), reader(data), weights)


def refused(data, **given):
    with pytest.raises(BundleError) as caught:
        check(data, **given)
    assert str(caught.value).startswith(given.get("path", PATH))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# locations

LOCATIONS = {
    "absolute": b"/etc/passwd",
    "parent": b"../model.onnx.data",
    "two up": b"../../model.onnx.data",
    "here": b"./model.onnx.data",
    "there and back": b"a/../model.onnx.data",
    "below": b"weights/model.onnx.data",
    "backslashes": b"..\\model.onnx.data",
    "drive": b"C:\\model.onnx.data",
    "drive alone": b"C:model.onnx.data",
    "share": b"\\\\host\\share\\x",
    "empty": b"",
    "nul": b"model.onnx.data\0",
    "nul before": b"\0model.onnx.data",
    "long": b"a" * 4000,
    "longer than is read": b"a" * 5000,
    "look-alike": "mоdel.onnx.data".encode(),  # noqa: RUF001 - that is the point
    "full width": "ｍodel.onnx.data".encode(),  # noqa: RUF001
    "no text": b"\xff\xfe.data",
    "url": b"file:///etc/passwd",
    "http": b"http://example.org/x",
    "process": b"/proc/self/environ",
    "device": b"/dev/zero",
    "directory": b".",
    "unlisted": b"other.data",
    "weights of another": b"model_fp16.onnx.data",
    "manifest": b"../manifest.json",
    "itself": b"model.onnx",
    "upper case": b"MODEL.onnx.data",
    "space": b"model.onnx.data ",
    "newline": b"model.onnx.data\n",
    "memory": b"*/_ORT_MEM_ADDR_/*",
    "memory, little-endian": b"*/_ORT_MEM_LE_ADDR_/*",
}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_a_location_that_is_not_the_files_own_weights_is_refused(location):
    words = refused(outside(location), weights=4)
    assert len(words) < 400
    assert words.isascii()
    if len(location) < 40:
        assert ascii(location.decode("utf-8", "backslashreplace")) in words


def test_its_own_weights_are_taken_where_the_manifest_lists_them():
    check(outside(b"model.onnx.data"), weights=4)
    words = refused(outside(b"model.onnx.data"), weights=None)
    assert words.endswith("it may name model.onnx.data beside it alone, which the manifest does not list")
    assert "its tensor 'w' is in the file 'model.onnx.data'" in words


@pytest.mark.parametrize(
    ("offset", "length", "weights"), [(b"0", b"4", 4), (b"4", b"0", 4), (b"007", b"3", 10), (b"3", b"7", 10)]
)
def test_a_range_within_the_weights_is_taken(offset, length, weights):
    check(outside(b"model.onnx.data", offset=offset, length=length), weights=weights)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(b"0", b"11"), (b"10", b"1"), (b"11", b"0"), (b"-1", b"4"), (b"+1", b"4"), (b" 1", b"4"), (b"1", b"-4"),
     (b"", b"4"), (b"1", b""), (b"0x1", b"4"), (b"1e1", b"1"), (b"9" * 19, b"9" * 19), (b"9" * 30, b"1"),
     (b"\xd9\xa1", b"1")],
)  # fmt: skip
def test_a_range_outside_of_the_weights_or_no_number_is_refused(offset, length):
    refused(outside(b"model.onnx.data", offset=offset, length=length), weights=10)


GOOD = [(b"location", b"model.onnx.data"), (b"length", b"4")]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [(b"length", b"4")],
        [*GOOD, (b"location", b"model.onnx.data")],
        [(b"location", b"../x"), *GOOD],
        [*GOOD, (b"length", b"4")],
        [*GOOD, (b"basepath", b"/etc")],
        [*GOOD, (b"prepacked_0", b"k|0;4;0")],
        [*GOOD, (b"Location", b"../x")],
        [*GOOD, (b"", b"")],
    ],
)
def test_entries_that_engines_may_read_in_different_ways_are_refused(entries):
    check(field(7, field(5, tensor([*GOOD, (b"checksum", b"ab")]))), weights=4)
    refused(field(7, field(5, tensor(entries))), weights=4)


@pytest.mark.parametrize(
    "entry",
    [
        field(2, b"model.onnx.data"),
        field(1, b"location"),
        field(1, b"offset"),
        field(1, b"checksum"),
        field(1, b"location") + field(2, b"model.onnx.data") + field(2, b"../x"),
        field(1, b"location") + field(2, b"../x") + field(2, b"model.onnx.data"),
        field(1, b"checksum") + field(1, b"location") + field(2, b"../x"),
    ],
)
@pytest.mark.parametrize("others", [GOOD, GOOD[1:]])
def test_an_entry_without_its_key_or_value_or_with_two_is_refused(entry, others):
    refused(field(7, field(5, tensor(others) + field(13, entry))), weights=4)


def test_external_entries_count_whatever_the_data_location_says():
    for location in (0, 1, 2, 2**32 + 1):
        refused(field(7, field(5, tensor([(b"location", b"../x"), (b"length", b"4")], location=location))), weights=4)
    refused(field(7, field(5, tensor([], location=2**32 + 1))))
    refused(field(7, field(5, field(14, 1, 0) + field(14, 0, 0))))
    check(field(7, field(5, tensor([], location=0))))


def test_a_name_longer_than_any_path_is_not_read():
    assert "a name has 2097152 bytes, at most 4096 are read" in refused(outside(bytes(2**21)))


# places


@pytest.mark.parametrize("model", PLACES.values(), ids=PLACES)
def test_a_tensor_is_found_wherever_it_can_stand(model):
    assert [one.tensor for one in externals(len(model), reader(model))] == [b"w"]
    assert "'../x'" in refused(model, weights=4)


@pytest.mark.parametrize("at", [0, 1, 7, 14, 15, 16, 2**14 - 30, 2**14 - 15, 2**14 - 1, 2**14, 2**15 + 3])
def test_a_tensor_is_found_behind_any_number_of_bytes(at):
    model = field(7, field(5, field(9, b"\x6a" * at) + ELSEWHERE) * 3) + empty_model(b"y" * at)
    assert len(list(externals(len(model), reader(model)))) == 3


def test_values_are_skipped_and_not_read():
    model, took = field(7, field(5, field(9, bytes(2**24))) * 2 + field(5, ELSEWHERE)), []

    def read(at, count):
        took.append(count)
        return model[at : at + count]

    assert len(list(externals(len(model), read))) == 1
    assert sum(took) < 2**17


def test_nodes_that_load_a_compiled_model_are_refused():
    for where in (lambda node: field(7, node), lambda node: field(25, field(7, node[2:]))):
        refused(where(field(1, field(4, b"EPContext"))))
    refused(field(7, field(1, field(4, b"If") + field(5, field(6, field(1, field(4, b"EPContext")))))))
    check(field(7, field(1, field(4, b"Add") + field(3, b"EPContext"))))


# the wire

SPOILT = {
    "two graphs": field(7, b"") + field(7, b""),
    "two values": field(7, field(15, field(1, b"") * 2)),
    "two tensors in an attribute": field(7, field(1, field(5, field(5, b"") + field(5, field(8, b"location"))))),
    "two graphs in an attribute": field(7, field(1, field(5, field(6, b"") + field(6, field(2, b"location"))))),
    "no attribute in a node with a location": field(7, field(1, b"\x2e" + field(3, b"location"))),
    "two initializations": field(20, field(1, b"") * 2),
    "a group": b"\x3b" + GRAPH + b"\x3c",
    "the end of a group": b"\x3c",
    "wire type 6": b"\x3e",
    "wire type 7": b"\x3f",
    "field 0": b"\x02\x00",
    "a length behind the end": b"\x3a\x7f",
    "an inner length behind the end of its message": b"\x3a\x02\x0a\x09" + bytes(99),
    "a tag of six bytes": b"\xba\x80\x80\x80\x80\x00\x00",
    "a tag beyond 32 bits, which some parsers cut": b"\xba\x80\x80\x80\x10" + varint(len(GRAPH)) + GRAPH,
    "a length of six bytes": b"\x3a\x80\x80\x80\x80\x80\x00",
    "a number of eleven bytes": b"\x08" + b"\x80" * 10 + b"\x00",
    "a number without end": b"\x08\xff",
    "a tag without more": b"\x3a",
    "eight bytes that are three": b"\x09abc",
    "four bytes that are three": b"\x0dabc",
    "a text": b"a model, not really",
}


@pytest.mark.parametrize("data", SPOILT.values(), ids=SPOILT)
def test_bytes_that_parsers_may_read_in_different_ways_are_refused(data):
    refused(data)
    refused(empty_model(b"x") + data)


def test_numbers_in_more_bytes_than_they_need_are_read_as_protobuf_does():
    assert "'../x'" in refused(b"\xba\x00" + b"\x81\x80\x00".replace(b"\x81", bytes([len(GRAPH) | 128])) + GRAPH)


def test_a_known_field_of_another_wire_type_is_unknown():
    check(field(7, 5, 0) + b"\x3d1234" + field(7, field(5, 3, 0)))


def test_messages_in_messages_end_where_those_of_protobuf_do():
    def nested(levels):
        found = field(2, b"location")
        for number in ((6, 5, 1) * levels)[:levels]:
            found = field(number, found)
        return found

    for levels in (50, 90):
        check(field(7, nested(levels)))
    assert "more than 100 messages" in refused(field(7, nested(3 * 60)))


def test_fields_without_end_are_given_up_in_seconds():
    data = field(7, b"\x10\x00" * (2**20 + 1))
    begin = time.monotonic()
    assert "more than 1048576 fields" in refused(data)
    assert time.monotonic() - begin < 60


def test_a_file_that_shrinks_while_it_is_read_is_refused():
    model = field(7, field(5, field(9, bytes(2**15))) + GRAPH)
    for whole, left in ((model, 2**14 + 99), (field(7, field(1, field(3, bytes(200)))), 50)):
        with pytest.raises(BundleError):
            check_content("onnx", PATH, len(whole), reader(whole[:left]), None)


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_result_or_in_our_error(data):
    for kind, path in (("onnx", PATH), ("tflite", "m.tflite")):
        for content in (data, field(7, data), field(7, field(5, data)), data[:4] + b"TFL3" + data):
            with suppress(BundleError):
                check(content, kind=kind, path=path)


@settings(max_examples=200)
@given(st.sampled_from([*PLACES.values()]), st.data())
def test_changed_bytes_end_in_a_result_or_in_our_error(model, data):
    changed = bytearray(model)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BundleError):
        check(bytes(changed), weights=4)


# beside onnx itself


TEXT = st.text(max_size=12).map(lambda words: words.encode("utf-8", "replace").decode())
KEYS = st.lists(st.sampled_from(["location", "offset", "length", "checksum", "x"]), max_size=3)


def a_tensor(onnx, draw):
    found = onnx.TensorProto(name=draw(TEXT), dims=draw(st.lists(st.integers(0, 2**40), max_size=3)), data_type=1)
    if draw(st.booleans()):
        found.raw_data = draw(st.binary(max_size=40)) * draw(st.sampled_from([1, 1, 1000]))
    if draw(st.booleans()):
        found.data_location = onnx.TensorProto.EXTERNAL
        for key in ["location", *draw(KEYS)]:
            found.external_data.add(key=key, value=draw(TEXT))
    return found


def an_attribute(onnx, draw, depth):
    """Of one type, as what onnx finds depends on it."""
    found = onnx.AttributeProto(name=draw(TEXT), i=draw(st.integers(-5, 2**62)), floats=[1.0] * draw(st.integers(0, 9)))
    found.type = draw(st.sampled_from([found.TENSOR, found.TENSORS, *((found.GRAPH, found.GRAPHS) if depth else ())]))
    if found.type == found.TENSOR:
        found.t.CopyFrom(a_tensor(onnx, draw))
    elif found.type == found.TENSORS:
        found.tensors.extend(a_tensor(onnx, draw) for _ in range(draw(st.integers(0, 2))))
    elif found.type == found.GRAPH:
        found.g.CopyFrom(a_graph(onnx, draw, depth - 1))
    else:
        found.graphs.extend(a_graph(onnx, draw, depth - 1) for _ in range(2))
    return found


def a_graph(onnx, draw, depth):
    found = onnx.GraphProto(name=draw(TEXT))
    found.initializer.extend(a_tensor(onnx, draw) for _ in range(draw(st.integers(0, 2))))
    for _ in range(draw(st.integers(0, 2))):
        node = onnx.NodeProto(op_type=draw(TEXT), input=["a", "b"], name=draw(TEXT))
        node.attribute.extend(an_attribute(onnx, draw, depth) for _ in range(draw(st.integers(0, 2))))
        found.node.append(node)
    return found


@pytest.mark.slow
def test_what_is_found_is_what_onnx_finds():
    onnx = pytest.importorskip("onnx")
    from onnx import external_data_helper as helper

    @settings(max_examples=150)
    @given(st.data())
    def same(data):
        model = onnx.ModelProto(ir_version=10, graph=a_graph(onnx, data.draw, 2))
        data = model.SerializeToString()
        wanted = [
            (t.name.encode(), tuple((e.key.encode(), e.value.encode()) for e in t.external_data))
            for t in helper._get_all_tensors(model)
            if helper.uses_external_data(t)
        ]
        found = [(one.tensor, one.entries) for one in externals(len(data), reader(data))]
        assert sorted(found) == sorted(wanted)

    same()


# other formats


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("onnx", "m.ort"),
        ("ort", "m.onnx"),
        ("onnx", "m.ONNX"),
        ("onnx", "onnx"),
        ("ort", "m.ort.bin"),
        ("ort", "m.ORT"),
    ],
)
def test_an_ending_by_which_onnx_runtime_would_take_it_for_the_other_format_is_refused(kind, path):
    assert "must end in" in refused(empty_model(b""), kind=kind, path=path)


@pytest.mark.parametrize("kind", ["tensorrt", "tflite", "executorch", "mine"])
def test_an_onnx_file_is_looked_at_in_whatever_format_it_is_listed(kind):
    assert "'../x'" in refused(outside(b"../x"), kind=kind, path="m.onnx")


def test_formats_that_name_no_files_are_not_read():
    for kind, path in (("ort", "m.ort"), ("executorch", "m.pte"), ("torchscript", "m.ptl"), ("tensorrt", "m.engine")):
        check_content(kind, path, 5, None, None)


def _tflite(**fields):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, builder = schema.ModelT(), flatbuffers.Builder(64)
    model.version, model.description = 3, b"a model"
    for name, value in fields.items():
        setattr(model, name, value)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(name):
    from ai_edge_litert import schema_py_generated as schema

    found = schema.OperatorCodeT()
    found.customCode = name
    return found


def test_a_tflite_file_may_name_no_external_buffers_and_no_operators_of_tensorflow():
    pytest.importorskip("ai_edge_litert")
    from ai_edge_litert import schema_py_generated as schema

    group, outer = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
    group.name = b"/etc/passwd"
    given = {"kind": "tflite", "path": "m.tflite"}
    good = _tflite(operatorCodes=[_code(None), _code(b"TFLite_Detection"), _code(b"")])
    check(good, **given)
    check(_tflite(externalBufferGroups=[], externalBuffers=[]), **given)
    check(_tflite(signatureDefs=[]), **given)  # the last slot before those that are looked at
    refused(good[:4] + b"TFL2" + good[8:], **given)
    refused(_tflite(operatorCodes=[_code(None)] * 5000), **given)
    for spoilt in ({"externalBufferGroups": [group]}, {"externalBuffers": [outer]}):
        assert "external buffers" in refused(_tflite(**spoilt), **given)
    assert "TensorFlow itself" in refused(_tflite(operatorCodes=[_code(b"x"), _code(b"FlexReadFile")]), **given)
    for at in range(len(good)):
        for byte in (0, 1, 127, 255):
            with suppress(BundleError):
                check(good[:at] + bytes([byte]) + good[at + 1 :], **given)


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"\xff\xff\xff\xffTFL3" + bytes(64), struct.pack("<I4si", 8, b"TFL3", 99)]
)
def test_bytes_that_are_no_tflite_file_are_refused(data, tmp_path):
    refused(data, kind="tflite", path="m.tflite")
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises(BundleError):
        check_file("tflite", tmp_path / "m.tflite", "m.tflite", None)


# the bundle


def lead(root, model, weights=None):
    """Let the artifact of a bundle be these bytes, and list them; with `weights`, a file of them beside it."""
    tree = json.loads((root / "manifest.json").read_bytes())
    files = {PATH: (model, tree["artifacts"])} | ({weights_of(PATH): (weights, tree["files"])} if weights else {})
    for path, (data, rows) in files.items():
        (root / path).write_bytes(data)
        row = next((row for row in rows if row["path"] == path), None) or rows.append({"path": path}) or rows[-1]
        row |= {"size_bytes": len(data), "sha256": sha256(root / path)}
    (root / "manifest.json").write_text(json.dumps(tree))
    return root


@pytest.fixture
def leading(bundle_dir):
    """A bundle whose hashes are right, and whose model leads to a file outside."""
    return lead(bundle_dir, outside(b"../../secret"))


WAYS = {
    "checked": lambda root: Bundle.open(root).checked(PATH),
    "check_hashes": lambda root: Bundle.open(root).check_hashes(),
    "load": load,
    "verify": verify,
    "verify, quick": lambda root: verify(root, quick=True),
    "profile": lambda root: profile(root, tokens=8),
    "evaluate": lambda root: evaluate(root, root / "rows.tsv"),
    "pack": lambda root: pack(root, root.with_name("packed")),
    "sign": lambda root: sign(root, key="none"),
    "flash": lambda root: flash(root, None),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_way_into_a_bundle_opens_a_model_that_leads_out_of_it(leading, way):
    with pytest.raises(
        BundleError, match=r"^onnx/model\.onnx is refused: its tensor 'w' is in the file '\.\./\.\./secret'"
    ):
        way(leading)


def test_weights_beside_the_model_are_taken(bundle_dir):
    bundle = Bundle.open(lead(bundle_dir, outside(b"model.onnx.data"), b"1234"))
    bundle.check_hashes()
    assert bundle.parts(bundle.manifest.artifacts[0]) == [PATH, f"{PATH}.data"]


def test_what_lies_beside_the_model_and_is_not_listed_is_refused(bundle_dir):
    bundle = Bundle.open(lead(bundle_dir, outside(b"model.onnx.data")))
    (bundle_dir / f"{PATH}.data").write_bytes(b"1234")  # after the bundle was opened
    with pytest.raises(BundleError, match="which the manifest does not list"):
        bundle.checked(PATH)


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "directory"])
def test_weights_that_are_not_a_plain_file_of_the_bundle_are_refused(bundle_dir, tmp_path, kind):
    secret, place = tmp_path / "secret", bundle_dir / f"{PATH}.data"
    secret.write_bytes(b"5678")
    lead(bundle_dir, outside(b"model.onnx.data"), b"1234")
    place.unlink()
    make = {"link": lambda: place.symlink_to(secret), "hard link": lambda: os.link(secret, place)}
    make |= {"pipe": lambda: os.mkfifo(place), "directory": place.mkdir}
    make[kind]()
    with pytest.raises(BundleError):
        Bundle.open(bundle_dir).check_hashes()


def test_a_model_is_looked_at_once_in_a_process(bundle_dir, monkeypatch):
    seen = []
    monkeypatch.setattr(bundles, "_CONTAINED", set())
    monkeypatch.setattr(bundles, "check_file", lambda *given: seen.append(given))
    for directory in (bundle_dir, shutil.copytree(bundle_dir, bundle_dir.with_name("copy"))):
        Bundle.open(directory).checked(PATH)
    assert [given[2:] for given in seen] == [(PATH, None)]
    lead(bundle_dir, empty_model(b"another"))
    Bundle.open(bundle_dir).checked(PATH)
    assert len(seen) == 2


def test_one_that_was_refused_is_refused_again(leading):
    for _ in range(2):
        with pytest.raises(BundleError):
            Bundle.open(leading).checked(PATH)


def test_a_file_is_read_from_the_disk(tmp_path):
    (tmp_path / "m.onnx").write_bytes(outside(b"/etc/passwd"))
    with pytest.raises(BundleError, match=r"'/etc/passwd'; it may name model\.onnx\.data beside it alone"):
        check_file("onnx", tmp_path / "m.onnx", PATH, None)


def test_a_build_refuses_what_a_converter_made_before_an_engine_opens_it(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / PATH).write_bytes(outside(b"../../weights"))
    work = Assembly(None, tmp_path, None, None, allow_divergence=True)
    error = work._gate(registry.load("converters", "onnx"), "fp32", ())
    assert isinstance(error, BundleError)
    assert str(error).startswith("onnx/fp32: onnx/model.onnx is refused: its tensor 'w' is in the file '../../weights'")
    assert not work.artifacts
    assert not (tmp_path / PATH).exists()


def test_malformed_is_no_bug_of_ours():
    with pytest.raises(Malformed):
        list(externals(1, reader(b"\x3a")))


def test_what_a_file_asks_its_engine_for_is_named_once_and_its_own_functions_are_not():
    """In subgraphs and in functions too; the domain `ai.onnx` is the one without a name."""

    def node(name, *more):
        return field(1, field(4, name) + b"".join(more))

    inner = field(5, field(1, b"body") + field(6, node(b"Inner")))
    function = field(1, b"Own") + field(10, b"mine") + field(7, field(4, b"InFunction") + field(7, b"com.microsoft"))
    graph = (
        node(b"MatMul") + node(b"MatMul", field(7, b"ai.onnx")) + node(b"If", inner) + node(b"Own", field(7, b"mine"))
    )
    data = field(7, graph) + field(25, function)
    found = operators(len(data), lambda at, count: data[at : at + count])
    assert found == ["If", "Inner", "MatMul", "com.microsoft:InFunction"]
    with pytest.raises(Malformed):
        operators(len(data) - 1, lambda at, count: data[: len(data) - 1][at : at + count])
