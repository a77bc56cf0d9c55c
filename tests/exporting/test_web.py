"""The directory for web pages, in node: what a browser runs, by the same modules, which tools/web_answers.py asks."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import web_pages
from click.testing import CliRunner
from msgspec.structs import replace
from tokenizers import Tokenizer
from web_pages import asked, unlike

from edgewright.bundle.bundle import Bundle
from edgewright.cli._export.web import command
from edgewright.errors import InputError, MissingExtra, StorageError
from edgewright.exporting import web
from edgewright.exporting.web import export_web

ROOT = Path(__file__).parents[2]
CORE = ROOT / "tools" / "web_core"
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")


@pytest.fixture(scope="session")
def engine():
    return web_pages.engine()


@pytest.fixture(scope="module")
def site(made, engine, tmp_path_factory):
    """A directory for pages of a task, below a path with a space, as sites have them."""
    root, done = tmp_path_factory.mktemp("web site"), {}

    def make(family, task, labels=()):
        if task not in done:
            argv = [
                str(made(family, task, labels) / "bundle"),
                "--out",
                str(root / task),
                "--engine",
                str(engine),
                "-q",
            ]
            assert CliRunner().invoke(command, argv, catch_exceptions=False).exit_code == 0
            done[task] = root / task
        return done[task]

    return make


def texts():
    import tiny_models

    return [text for text in tiny_models.texts() if text.strip()][:12]


@pytest.mark.slow
def test_entities_are_those_of_python(made, site):
    import edgewright

    place = made("bert", "token-classification", TAGS)
    ways = [{}, {"aggregation_strategy": "none"}, {"aggregation_strategy": "average"}]
    found = asked(site("bert", "token-classification", TAGS), *(["run", texts(), one] for one in ways), ["check"])
    with edgewright.load(place / "bundle", careful=False) as pipeline:
        wanted = [pipeline(texts(), **one) for one in ways]
    assert unlike(found["answers"][:3], wanted) == []
    assert found["answers"][3]["cases"] > 3
    assert found["progress"]["loaded"] == found["progress"]["total"] > 14_000_000


@pytest.mark.slow
def test_answers_from_windows_are_those_of_python(made, site):
    import edgewright

    place = made("roberta", "question-answering")
    some = texts()
    items = [
        {"question": text.split()[0], "context": " ".join(some) if at % 3 == 0 else text}
        for at, text in enumerate(some)
    ] + [{"question": "who", "context": "\ufeffParis"}]
    ways = [{}, {"top_k": 3}, {"handle_impossible_answer": True, "max_answer_len": 5}]
    found = asked(
        site("roberta", "question-answering"), *(["run", items, one] for one in ways), ["run", items[0]], ["check"]
    )
    with edgewright.load(place / "bundle", careful=False) as pipeline:
        wanted = [*(pipeline(items, **one) for one in ways), pipeline(items[0])]
    assert unlike(found["answers"][:4], wanted) == []
    assert found["answers"][4]["cases"] > 3


@pytest.mark.slow
def test_what_is_no_request_is_told(site):
    place = site("bert", "token-classification", TAGS)
    found = asked(
        place,
        ["run", "a\0b"],
        ["run", "a" * ((1 << 20) + 1)],
        ["run", 7],
        ["run", {"question": "a"}],
        ["run", "a", {"top_k": 3}],
        ["run", "a", {"aggregation_strategy": "best"}],
        ["run", "\ud800 alone"],
        ["encode", "hé 👍🏽 x"],
        ["wait"],
        ["reopen"],
        ["starve"],
        ["run", "é " * 300_000],
        ["run", "a"],
        ["wait"],
        ["close"],
        ["run", "late"],
        worker=False,
    )["answers"]
    codes = [one.get("error") for one in found[:6]]
    assert codes == ["argument", "too-long", "argument", "argument", "argument", "argument"]
    assert found[4]["why"] == "token-classification has no option top_k; it has aggregation_strategy"
    assert isinstance(found[6], list)
    assert found[7]["offsets"][-1] == [0, 0]
    assert max(end for _, end in found[7]["offsets"]) == 7, "characters, not halves of them"
    assert found[8] == ["files.json", "files.json"], "the rest is in the cache"
    assert [one["error"] for one in found[9:11]] == ["memory", "memory"]
    assert found[12] == {"error": "closed", "why": "the model is closed; open it again", "kind": "EdgewrightError"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "text"), [("characters 7", "h\u00e9 \U0001f44d\0good story"), ("cut_left 1", "the story " * 60)]
)
def test_a_text_is_encoded_as_the_model_reads_it(settings, text, made, site, tmp_path):
    """Of its first characters alone, as model2vec's are; or its end."""
    copy = tmp_path / "copy"
    shutil.copytree(site("bert", "token-classification", TAGS), copy)
    name, value = settings.split()
    lines = (copy / "model" / "model.txt").read_text().split("\n")
    assert f"{name} 0" in lines
    (copy / "model" / "model.txt").write_text("\n".join(settings if one == f"{name} 0" else one for one in lines))
    (copy / "model" / "files.json").unlink()
    web.list_files(copy / "model", sorted(path.name for path in (copy / "model").iterdir()))
    backend = Tokenizer.from_file(str(made("bert", "token-classification", TAGS) / "bundle" / "tokenizer.json"))
    backend.enable_truncation(64, direction="left" if name == "cut_left" else "right")
    wanted = backend.encode(text[: int(value)] if name == "characters" else text)
    (found,) = asked(copy, ["encode", text], worker=False)["answers"]
    assert (found["ids"], [tuple(one) for one in found["offsets"]]) == (wanted.ids, wanted.offsets)


@pytest.mark.slow
def test_calls_that_wait_when_the_worker_ends_fail(site):
    found = asked(
        site("bert", "token-classification", TAGS), ["run", "a"], ["wait"], ["run", "b"], ["close"], ["run", "c"]
    )
    assert [one if one is None else one.get("error") for one in found["answers"][1:]] == ["closed", None, "closed"]


@pytest.mark.slow
def test_a_browser_that_is_too_old_is_told(site, monkeypatch):
    monkeypatch.setenv("OLD_BROWSER", "1")
    found = asked(site("bert", "token-classification", TAGS))["open"]
    assert (found["error"], found["why"]) == ("unsupported", "this browser has no WebAssembly SIMD and atomics")


@pytest.mark.slow
def test_files_that_are_missing_altered_or_older(site, tmp_path):
    place = site("bert", "token-classification", TAGS)
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    files = json.loads((copy / "model" / "files.json").read_text())
    older = json.dumps({**files, "edgewright": 0})
    tokenizer = (copy / "model" / "tokenizer.bin").read_bytes()
    for name, change, why in (
        ("model/files.json", None, "files.json: the server answers 404"),
        ("model/files.json", b"<!doctype html>", "files.json is not the list of an exported model"),
        ("model/files.json", older.encode(), "is of version 0, and this edgewright.js reads 1"),
        ("model/tokenizer.bin", None, ": the server answers 404"),
        ("model/tokenizer.bin", tokenizer[:-1] + b"!", "tokenizer.bin: other bytes than were exported"),
        ("model/model.onnx", b"cut", "model.onnx: 3 bytes instead of"),
        ("edgewright.wasm", b"long" * 50_000, "edgewright.wasm: 200000 bytes instead of"),
    ):
        before = (copy / name).read_bytes()
        (copy / name).unlink() if change is None else (copy / name).write_bytes(change)
        found = asked(copy, worker=False)["open"]
        (copy / name).write_bytes(before)
        assert found["error"] == "asset"
        assert why in found["why"]


@pytest.mark.heavy
@pytest.mark.slow
def test_large_files_are_cut_and_joined_and_the_directory_is_replaced_by_force_alone(
    made, engine, site, tmp_path, monkeypatch
):
    bundle, out = made("bert", "token-classification", TAGS) / "bundle", tmp_path / "site"
    monkeypatch.setattr(web, "_MOST_BYTES", 200_000)
    said: list[str] = []
    export_web(bundle, out=out, engine=engine, progress=said.append)
    assert "model.onnx is in parts, since some hosts take no file above 25 MiB" in said
    assert max(path.stat().st_size for path in (out / "model").iterdir() if path.suffix != ".json") <= 200_000
    assert (out / "ort" / "ort-wasm-simd-threaded.wasm.70").is_file()
    whole = asked(site("bert", "token-classification", TAGS), ["run", texts()], worker=False)["answers"]
    assert asked(out, ["run", texts()], worker=False)["answers"] == whole
    with pytest.raises(StorageError, match="exists"):
        export_web(bundle, out=out, engine=engine)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ort-wasm-simd-threaded.mjs").write_bytes(b"of another version")
    with pytest.raises(InputError, match="is not of onnxruntime-web@"):
        export_web(bundle, out=out, engine=tmp_path / "other", force=True)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"npm does not get onnxruntime-web@.*ECONNREFUSED"):
        export_web(bundle, out=out, force=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match="npm is not installed"):
        export_web(bundle, out=out, force=True)


@pytest.mark.slow
def test_what_a_page_writes_is_what_python_writes(talking, engine, tmp_path):
    import edgewright

    export_web(talking, out=tmp_path / "site", engine=engine)
    long = {"max_new_tokens": 500, "ignore_end": True, "when_full": "slide"}  # 128 tokens are its context
    items = [
        ("the road", {"max_new_tokens": 40}),
        ("the road and the rain", {"temperature": 0.9, "top_k": 12, "seed": 2**63 + 11}),
        ([{"role": "user", "content": 'an "answer" </s> é😀'}], {"max_new_tokens": 20}),
        ("the sea", long),
    ]
    found = asked(
        tmp_path / "site",
        *(["stream", one, {**ways, "seed": str(ways["seed"])} if "seed" in ways else ways] for one, ways in items),
        ["run", "the road", {"max_new_tokens": 5}],
        ["run", [[{"role": "user", "content": "a"}], "the sea"], {"max_new_tokens": 3, "return_full_text": False}],
        ["stream", "the road", {"ignore_end": True, "leave": 2, "when_full": "slide", "max_new_tokens": 1_000_000}],
        ["stream", "the road", {"abort": 0}],
        ["stream", "the road", {"heat": 1}],
        ["stream", [{"role": "nobody", "content": "a"}]],
        ["stream", 7],
        ["check"],
    )
    answers = found["answers"]
    with edgewright.load(talking, careful=False) as writer:
        for (one, ways), mine in zip(items, answers, strict=False):
            assert mine["pieces"] == list(writer.stream(one, **ways))
            theirs = writer.last
            assert [mine["last"][name] for name in ("tokens", "reason", "prompt_tokens", "reused")] == [
                theirs.tokens,
                theirs.reason,
                theirs.prompt_tokens,
                theirs.reused,
            ]
        assert answers[4] == writer("the road", max_new_tokens=5)
        chats = [[{"role": "user", "content": "a"}], "the sea"]
        assert answers[5] == writer(chats, max_new_tokens=3, return_full_text=False)
    assert (len(answers[6]["pieces"]), answers[6]["last"]["reason"]) == (2, "cancelled")
    assert (answers[7]["pieces"], answers[7]["last"]["reason"]) == ([], "cancelled")
    assert [one["error"] for one in answers[8:11]] == ["argument"] * 3
    assert answers[8]["why"] == "no setting is called heat"
    assert answers[11]["worst"] == 0
    assert found["chats"] is True


@pytest.mark.parametrize(
    ("task", "has", "found"),
    [
        ("text-generation", ("fp32", "fp16", "int8"), "fp16"),
        ("text-generation", ("fp32", "int8"), "fp32"),
        ("text-generation", ("int8", "int4"), None),
        ("text-classification", ("fp32", "int8"), None),
    ],
)
def test_a_page_writes_at_a_precision_that_its_engine_has_kernels_for(
    task, has, found, bundle_dir, make_artifact, monkeypatch
):
    artifacts = tuple(make_artifact(precision=one, path=f"onnx/{one}.onnx") for one in has)
    bundle = Bundle(bundle_dir, replace(Bundle.of(bundle_dir).manifest, task=task, artifacts=artifacts))

    def fit(_, **asked):
        raise StorageError(str(asked["precision"]))

    monkeypatch.setattr(web, "fit", fit)
    for given, wanted in ((None, found), ("int8", "int8")):
        with pytest.raises(StorageError, match=f"^{wanted}$"):
            export_web(bundle, out=bundle_dir / "site", precision=given)


def test_the_webassembly_is_of_these_sources():
    """If not, run tools/web_core/build, with the compiler that it names."""
    recorded = dict(line.split()[::-1] for line in (CORE / "sources.sha256").read_text().splitlines())
    sources = [CORE / "core.c", CORE / "build", *(CORE / "missing").iterdir()]
    sources += [path for path in (ROOT / "sdk" / "exporting" / "c_project").iterdir() if path.suffix in (".c", ".h")]
    made_of = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sources if path.name != "main.c"}
    made_of["edgewright.wasm"] = hashlib.sha256((web._SOURCES / "edgewright.wasm").read_bytes()).hexdigest()
    assert recorded == made_of


@pytest.mark.heavy
@pytest.mark.slow
def test_the_same_compiler_makes_the_same_bytes(tmp_path):
    version = (
        subprocess.run(["clang", "--version"], capture_output=True, text=True, check=False)
        if shutil.which("clang")
        else None
    )
    if version is None or "version 14.0.6" not in version.stdout or not Path("/usr/lib/wasm32-wasi/libc.a").is_file():
        pytest.skip("there is no clang 14.0.6 with wasi-libc")
    subprocess.run([CORE / "build", tmp_path / "core.wasm"], check=True)
    assert (tmp_path / "core.wasm").read_bytes() == (web._SOURCES / "edgewright.wasm").read_bytes()
