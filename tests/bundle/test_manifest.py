import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from edgewright.bundle import manifest
from edgewright.bundle.manifest import Golden, GoldenCase, Manifest, decode, encode
from edgewright.errors import BundleError
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_JSON_ITEMS, check_path, json_or_none, strict_json

RECORDS = [one for one in vars(manifest).values() if isinstance(one, type) and issubclass(one, Struct)]
words = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(min_value=0, max_value=2**53)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
hashes = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
specs = st.builds(
    manifest.TensorSpec, name=words, dtype=words, shape=st.lists(st.one_of(counts, words), max_size=3).map(tuple)
)
parities = st.builds(
    manifest.Parity,
    texts=counts,
    max_abs=numbers,
    mean_abs=numbers,
    sqnr_db=numbers,
    cosine=numbers,
    top1=st.none() | numbers,
    worst_case=words,
    diverged=st.none() | words,
)
scores = st.builds(manifest.Score, metric=words, value=numbers, n=counts, data=words, reference=st.none() | numbers)
artifacts = st.builds(
    manifest.Artifact,
    path=words,
    format=names,
    precision=names,
    size_bytes=counts,
    sha256=hashes,
    inputs=st.lists(specs, max_size=2).map(tuple),
    outputs=st.lists(specs, max_size=2).map(tuple),
    parity=parities,
    score=st.none() | scores,
)
manifests = st.builds(
    Manifest,
    task=names,
    settings=st.builds(
        manifest.Settings,
        max_length=st.integers(1, 10**6),
        labels=st.lists(words, max_size=3).map(tuple),
        problem=st.sampled_from(["single_label", "multi_label", "regression"]),
        pooling=st.sampled_from(["mean", "cls", "max"]),
        normalize=st.booleans(),
    ),
    artifacts=st.lists(artifacts, min_size=1, max_size=2).map(tuple),
    files=st.lists(st.builds(manifest.File, path=words, size_bytes=counts, sha256=hashes), max_size=2).map(tuple),
    source=st.builds(manifest.Source, architecture=words, parameters=counts, sha256=hashes, licence=st.none() | words),
    toolchain=st.dictionaries(words, words, max_size=3),
)
values = st.recursive(
    st.none() | st.booleans() | counts | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
cases = st.builds(
    GoldenCase,
    text=values,
    input_ids=st.lists(counts, max_size=4).map(tuple),
    outputs=st.dictionaries(words, st.lists(numbers, max_size=3).map(tuple), max_size=2),
    answer=values,
)
goldens = st.builds(Golden, cases=st.lists(cases, min_size=1, max_size=2).map(tuple))


@settings(max_examples=40, deadline=None)
@given(manifests)
def test_a_manifest_survives_its_bytes_and_gives_the_same_again(record):
    data = encode(record)
    again = decode(data, Manifest, "manifest.json")
    assert again == record
    assert encode(again) == data


@settings(max_examples=40, deadline=None)
@given(goldens)
def test_golden_cases_survive_their_bytes(record):
    assert decode(encode(record), Golden, "golden.json") == record


def test_the_bytes_do_not_depend_on_the_order_of_keys(make_manifest):
    one = make_manifest(toolchain={"a": "1", "b": "2"})
    other = make_manifest(toolchain={"b": "2", "a": "1"})
    assert encode(one) == encode(other)
    assert encode(one).endswith(b"}\n")


@pytest.fixture
def tree(make_manifest):
    """A valid manifest as plain values, to be spoilt."""
    return json.loads(encode(make_manifest()))


def refused(tree):
    data = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    with pytest.raises(BundleError) as caught:
        decode(data, Manifest, "manifest.json")
    assert caught.value.message.startswith("manifest.json")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not acceptable JSON"),
        (b"   ", "not acceptable JSON"),
        (b"{", "not acceptable JSON"),
        (b"\x00\x01", "not acceptable JSON"),
        (b'{"task": "\xff"}', "not acceptable JSON"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b'"manifest"', "Expected `object`"),
        (b"{}", "missing required field"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "1e999"),
        (b'{"a": -1e999}', "-1e999"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "key 'b' stands twice"),
        (b"[" * 100_000, "recursion"),
        (b'{"a":' * 100_000, "recursion"),
        (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
    ],
)
def test_bad_json_is_refused(text, words):
    assert words in refused(text)


def test_a_duplicate_key_is_refused_though_the_value_is_the_same(make_manifest):
    data = encode(make_manifest()).replace(b'"schema": 1', b'"schema": 1, "schema": 1')
    assert "'schema' stands twice" in refused(data)


def test_json_of_exactly_the_limit_is_read_and_one_byte_more_is_not():
    body = b'"' + b"x" * (MAX_JSON_BYTES - 2) + b'"'
    assert len(strict_json(body, "f")) == MAX_JSON_BYTES - 2
    with pytest.raises(BundleError, match=f"{MAX_JSON_BYTES + 1} bytes, at most {MAX_JSON_BYTES}"):
        strict_json(body + b" ", "f")


def spoil(tree, path, value):
    """Set the field at `path`, such as artifacts.0.sha256, to `value`."""
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        tree = tree[part]
    tree[last] = value


WRONG = [
    ("schema", True),
    ("schema", 0),
    ("schema", "1"),
    ("schema", 1.0),
    ("schema", None),
    ("task", 7),
    ("task", ""),
    ("task", "-rf"),
    ("task", "a b"),
    ("task", "a/b"),
    ("task", "x" * 65),
    ("settings.max_length", True),
    ("settings.max_length", 0),
    ("settings.max_length", 512.0),
    ("settings.labels", "negative"),
    ("settings.labels.0", 0),
    ("settings.normalize", 1),
    ("artifacts", []),
    ("artifacts", {}),
    ("artifacts.0.size_bytes", -1),
    ("artifacts.0.size_bytes", True),
    ("artifacts.0.size_bytes", "12"),
    ("artifacts.0.sha256", "0" * 63),
    ("artifacts.0.sha256", "0" * 65),
    ("artifacts.0.sha256", "A" * 64),
    ("artifacts.0.format", "onnx; rm"),
    ("artifacts.0.precision", "../fp32"),
    ("artifacts.0.inputs.0.shape.0", 1.5),
    ("artifacts.0.parity.cosine", "1"),
    ("artifacts.0.score.n", False),
    ("source.parameters", -1),
    ("toolchain", []),
    ("toolchain.edgewright", 1),
]


@pytest.mark.parametrize(("path", "value"), WRONG)
def test_a_wrong_value_is_refused_and_its_path_named(tree, path, value):
    spoil(tree, path, value)
    dotted = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))
    shown = dotted.replace(".edgewright", "[...]")
    assert f"`${shown}`" in refused(tree)


@pytest.mark.parametrize("path", ["task", "artifacts.0.format", "artifacts.0.sha256"])
def test_a_newline_at_the_end_of_a_name_is_refused(tree, path):
    *way, last = path.split(".")
    value = tree["artifacts"][0][last] if way else tree[last]
    spoil(tree, path, value + "\n")
    refused(tree)


@pytest.mark.parametrize("path", ["", "settings", "artifacts.0", "artifacts.0.parity", "artifacts.0.score", "source"])
def test_an_unknown_field_is_refused_and_its_place_named(tree, path):
    spoil(tree, f"{path}.surprise".lstrip("."), 1)
    words = refused(tree)
    assert "unknown field `surprise`" in words
    assert not path or f"`${'.' + path.replace('.0', '[0]')}`" in words


@pytest.mark.parametrize("field", ["task", "settings", "artifacts", "files", "source", "toolchain"])
def test_a_missing_field_is_refused_and_named(tree, field):
    del tree[field]
    assert f"missing required field `{field}`" in refused(tree)


def test_a_missing_field_deep_down_is_named_with_its_place(tree):
    del tree["artifacts"][0]["parity"]["cosine"]
    assert "`cosine` - at `$.artifacts[0].parity`" in refused(tree)


def test_a_newer_schema_says_upgrade_whatever_else_it_holds(tree):
    tree = {"schema": manifest.SCHEMA + 1, "something": "new"}
    words = refused(tree)
    assert f"schema {manifest.SCHEMA + 1}" in words
    assert f"up to {manifest.SCHEMA}" in words
    assert words.endswith("upgrade edgewright")


@pytest.mark.parametrize("path", ["a", "config.json", "onnx/model.onnx", "a/b/c/d", "A-1_2.x", "_a", "1"])
def test_a_plain_path_is_allowed(path):
    assert check_path(path) == path


BAD_PATHS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../a",
    "a/../b",
    "a/..",
    ".",
    "./a",
    ".hidden",
    "a/.hidden",
    "a//b",
    "a/",
    "a\\b",
    "C:\\a",
    "C:a",
    "a\nb",
    "a\n",
    "\na",
    "a\x00b",
    "a b",
    " a",
    "-rf",
    "a/-rf",
    "~a",
    "$HOME",
    "a*b",
    "a;b",
    "é",
    "\uff41",
    "a/b/c/d/e",
    "x" * 201,
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_any_other_path_is_refused(path):
    with pytest.raises(BundleError, match="not allowed in a bundle"):
        check_path(path)


@given(st.text())
def test_an_allowed_path_never_leaves_its_directory(path):
    try:
        check_path(path)
    except BundleError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert path.isascii()
    assert path.isprintable()


def test_golden_cases_are_at_least_one():
    with pytest.raises(BundleError, match=r"golden\.json: Expected `array` of length >= 1"):
        decode(b'{"schema": 1, "cases": []}', Golden, "golden.json")


@pytest.mark.parametrize("text", [r"\ud800", r"a\udfffb", r"\udc00\ud800"])
@pytest.mark.parametrize("tree", ['["%s"]', '{"%s": 1}', '{"a": {"b": ["%s"]}}'])
def test_half_of_a_surrogate_pair_is_no_text(tree, text):
    with pytest.raises(BundleError, match="m is not acceptable JSON: it holds half of a surrogate pair"):
        strict_json((tree % text).encode(), "m")


def test_a_whole_surrogate_pair_is_a_character():
    assert strict_json(rb'["\ud83d\ude00"]', "m") == ["\U0001f600"]


@pytest.mark.parametrize("piece", [b"[],", b"1,", b'{"":1},'])
def test_small_values_without_end_are_refused_before_they_are_read(piece):
    data = b"[" + piece * (MAX_JSON_ITEMS // piece.count(b",") + 1) + b"0]"
    assert len(data) < MAX_JSON_BYTES
    with pytest.raises(BundleError, match=rf"m has \d+ items, at most {MAX_JSON_ITEMS} are read"):
        strict_json(data, "m")


@pytest.mark.parametrize("data", [b'["\xed\xa0\x80"]', '["a"]'.encode("utf-16"), b'["\xff"]'])
def test_other_bytes_than_utf_8_are_no_json(data):
    with pytest.raises(BundleError, match="m is not acceptable JSON: 'utf-8' codec"):
        strict_json(data, "m")


def test_what_came_later_lies_where_an_older_edgewright_looks_past_it(make_manifest):
    """Its Source and Settings knew none of these names; among the tools any name is taken."""
    plain = make_manifest()
    source = structs.replace(plain.source, outside="transformers 5.23.0 on 35 texts", unread=("one", "two"))
    tree = json.loads(encode(structs.replace(plain, source=source)))
    assert set(tree["source"]) == {"architecture", "licence", "parameters", "sha256"}
    assert set(tree["settings"]) == {"labels", "max_length", "normalize", "pooling", "problem"}
    assert tree["toolchain"]["held against"] == "transformers 5.23.0 on 35 texts"
    assert decode(json.dumps(tree).encode(), Manifest, "m").source == source
    prompted = structs.replace(plain, settings=structs.replace(plain.settings, prompt="query: "))
    assert json.loads(encode(prompted))["settings"]["prompt"] == "query: "  # it would answer otherwise


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 10**5, b'{"a":' * 10**5, b"\xff", b"9" * 10**5, b"NaNa", "\ud800"])
def test_what_is_torn_is_none(data):
    assert json_or_none(data) is None
    assert json_or_none(b'{"a": [1]}') == {"a": [1]}


def test_the_types_of_fields_are_no_texts_that_each_process_would_compile_anew():
    texts = [
        f"{one.__name__}.{name}"
        for one in RECORDS
        for name, kind in one.__annotations__.items()
        if isinstance(kind, str)
    ]
    assert len(RECORDS) > 10
    assert texts == []
