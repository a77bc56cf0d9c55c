"""The Gradle project for Android: its Kotlin, compiled against Android's classes and run on the JVM, beside Python."""

import functools
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import c_programs
import c_writers
import kotlin_programs
import pytest
import test_tokenizer_file as made_tokenizers
import token_texts
from click.testing import CliRunner
from msgspec import structs

import edgewright
from edgewright.bundle import manifest
from edgewright.bundle.bundle import Bundle
from edgewright.cli._export.android import command
from edgewright.errors import InputError, MissingExtra, StorageError, UnsupportedConversion, UsageError
from edgewright.exporting import android, kotlin_sources
from edgewright.exporting.android import export_android, sizes
from edgewright.exporting.c import TASKS
from edgewright.exporting.tokenizer_file import tokenizer_file

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

MOST_CLASSES = 150_000
"""Bytes of classes.jar of a library with one task: what an app may well spend on it."""
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")
unlike = functools.partial(c_programs.unlike, whole=True)  # no NUL ends a text of the JVM
TURKISH = ("-Duser.language=tr", "-Duser.country=TR")
"""Where the lower case of I is another letter, and 0.5 is written 0,5."""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Makes a program of the tests' Kotlin."""
    if why := kotlin_programs.missing():
        pytest.skip(why)
    place = tmp_path_factory.mktemp("kotlin")
    return lambda name: kotlin_programs.program(place / name, name, ways=TURKISH)


@pytest.mark.slow
def test_a_project_has_the_library_its_assets_and_a_sample(bundle_dir, tmp_path):
    out = tmp_path / "app"
    (bundle_dir / "LICENSE.txt").write_text("of the model")
    asked = [str(bundle_dir), "--out", str(out), "--tasks", "all", "-q"]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert done.exit_code == 0
    module = out / "edgewright" / "src" / "main"
    assert {path.name for path in (module / "assets" / "edgewright").iterdir()} == {
        "model.onnx",
        "model.txt",
        "tokenizer.bin",
        "vectors.json",
    }
    sources = {path.relative_to(android._SOURCES) for path in android._SOURCES.rglob("*") if path.is_file()}
    sources = {path for path in sources if not path.name.startswith(("LiteRt", "ExecuTorch"))}
    sources -= {path for path in sources if kotlin_sources._NEEDED_BY.get(path.stem) == (kotlin_sources.ENCRYPTED,)}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} > sources
    assert (out / "MODEL_LICENSE.txt").read_text() == "of the model"
    assert "model.onnx" in sizes(out)
    assert "arm64-v8a" in sizes(out)
    with pytest.raises(StorageError, match="exists"):
        export_android(bundle_dir, out=out)
    export_android(bundle_dir, out=out, force=True)
    left = {path.name for path in (module / "kotlin").rglob("*.kt")}
    assert {"Edgewright.kt", "TextClassification.kt", "Tokenizer.kt"} < left
    assert not left & {"TokenClassification.kt", "Translator.kt", "Writer.kt"}, "no task but the bundle's own"
    with pytest.raises(UsageError, match="the Android library has no task poetry"):
        export_android(bundle_dir, out=out, tasks=["poetry"], force=True)


def test_both_builds_give_the_compiler_the_same():
    build = (android._SOURCES / "edgewright" / "build.gradle.kts").read_text()
    assert f"freeCompilerArgs = listOf({', '.join(map(json.dumps, android._LEAN))})" in build


def test_engines_versions_are_pinned_and_what_is_mapped_stays_uncompressed():
    library = (android._SOURCES / "edgewright" / "build.gradle.kts").read_text()
    assert '"com.microsoft.onnxruntime:onnxruntime-android:1.29.0"' in library, "the AAR of which _ENGINE_BYTES are"
    assert "+" not in library
    assert (
        'noCompress += listOf("onnx", "ort", "tflite", "bin")'
        in (android._SOURCES / "sample" / "build.gradle.kts").read_text()
    )


@pytest.mark.parametrize(
    ("engine", "library", "classes"),
    [
        ("Onnx", "com.microsoft.onnxruntime:onnxruntime-android:1.29.0", "ai.onnxruntime.**"),
        ("LiteRt", "com.google.ai.edge.litert:litert:1.4.0", "org.tensorflow.lite.**"),
        ("ExecuTorch", "org.pytorch:executorch-android:1.0.1", "org.pytorch.executorch.**"),
    ],
)
def test_a_project_has_one_engine(engine, library, classes, tmp_path):
    shutil.copytree(android._SOURCES, tmp_path, dirs_exist_ok=True)
    android._choose_engine(tmp_path, engine)
    for part, others in (("Engine", ["Engine.kt"]), ("Decoding", ["Decoding.kt"])):
        found = [path.name for path in tmp_path.rglob(f"*{part}.kt")]
        assert sorted(found) == sorted([*others, f"{engine}{part}.kt"]), "the seam and the one that is chosen"
    build = (tmp_path / "edgewright" / "build.gradle.kts").read_text()
    assert f'implementation("{library}")' in build
    assert build.count("implementation(") == 2
    assert f"-keep class {classes} {{ *; }}" in (tmp_path / "edgewright" / "consumer-rules.pro").read_text()
    named = f"{build}{(tmp_path / 'edgewright' / 'consumer-rules.pro').read_text()}"
    assert [name for name in ("onnxruntime", "litert", "executorch") if name in named] == [
        {"Onnx": "onnxruntime"}.get(engine, engine.lower())
    ]


def test_what_the_library_has_not_is_refused_by_name(bundle_dir, tmp_path, make_artifact):
    bundle = Bundle.of(bundle_dir)
    pixels = make_artifact(inputs=(manifest.TensorSpec(name="pixels", dtype="float32", shape=(1,)),))
    for changed, why in (
        ({"task": "image-classification"}, "no task image-classification"),
        ({"artifacts": (pixels,)}, "pixels"),
    ):
        strange = Bundle(bundle.directory, structs.replace(bundle.manifest, **changed))
        with pytest.raises(UnsupportedConversion, match=why):
            export_android(strange, out=tmp_path / "app")
    assert not (tmp_path / "app").exists()


@pytest.mark.slow
def test_a_compiler_that_cannot_is_told(bundle_dir, tmp_path):
    with pytest.raises(InputError, match=r"there is no nothing\.jar"):
        export_android(bundle_dir, out=tmp_path / "app", kotlinc="kotlinc", classpath=["nothing.jar"])
    with pytest.raises(MissingExtra, match="cannot start /nowhere/kotlinc"):
        export_android(bundle_dir, out=tmp_path / "app", kotlinc="/nowhere/kotlinc")
    (tmp_path / "other.aar").write_bytes(b"no archive")
    with zipfile.ZipFile(tmp_path / "bomb.aar", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("classes.jar", bytes(2**27 + 1))
    with pytest.raises(InputError, match="134217729 bytes, at most 134217728 are read"):
        export_android(bundle_dir, out=tmp_path / "app", kotlinc="kotlinc", classpath=[tmp_path / "bomb.aar"])
    with pytest.raises(InputError, match=r"other\.aar is no archive for Android"):
        export_android(bundle_dir, out=tmp_path / "app", kotlinc="kotlinc", classpath=[tmp_path / "other.aar"])
    assert not (tmp_path / "app").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", made_tokenizers.MADE)
def test_ids_and_offsets_are_those_of_tokenizers(name, program, tmp_path):
    backend = made_tokenizers.MADE[name](tmp_path)
    file = tmp_path / "tokenizer.bin"
    file.write_bytes(tokenizer_file(backend.to_str()))
    added = [token.content for token in backend.get_added_tokens_decoder().values()]
    texts = ["", " ", *token_texts.fuzzed(300, 5, added), *token_texts.every_code_point()[::400]]
    assert token_texts.differences(program("Tokens"), file, backend, texts) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "task", "labels", "options"),
    [
        ("bert", "token-classification", TAGS, {}),
        ("bert", "token-classification", TAGS, {"aggregation_strategy": "average"}),
        ("roberta", "question-answering", (), {"handle_impossible_answer": True}),
    ],
)
def test_answers_are_those_of_python(family, task, labels, options, made, program):
    import tiny_models  # which imports torch

    place, texts = made(family, task, labels), [text for text in tiny_models.texts() if text.strip()][:20]
    items = [{"question": text.split()[0], "context": " ".join(texts)} for text in texts[:6]] if not labels else texts
    found = c_programs.answers(program("Answers"), place / "c" / "assets", items, threads=2, **options)
    with edgewright.load(place / "bundle", careful=False, **options) as pipeline:
        wanted = pipeline.answered([pipeline.task.taken(one) for one in items])
    pairs = zip(found, wanted, strict=True)
    assert [why for mine, theirs in pairs if (why := unlike(task, mine, theirs, 2e-6))] == []


@pytest.mark.slow
def test_tokens_that_are_written_are_those_of_python(talking, program, tmp_path):
    export_android(talking, out=tmp_path / "app")
    assets, kotlin = tmp_path / "app" / android._ASSETS, program("Writing")
    asked = ["the road", "the road and the rain", [{"role": "user", "content": "the <s> rain"}], "é 😀"]
    how = {"temperature": 0.9, "top_k": 12, "top_p": 0.9, "seed": 2**64 - 1, "repetition_penalty": 1.2}
    settings = {"max_new_tokens": 24, "ignore_end": True, "stop": ["zz", "road road"], **how}
    found = c_writers.written(kotlin, assets, asked, settings)
    with edgewright.load(talking, careful=False) as writer:
        for prompt, mine in zip(asked, found, strict=True):
            pieces, theirs = list(writer.stream(prompt, **settings)), writer.last
            assert (mine.why, mine.tokens, mine.pieces) == ("", theirs.tokens, pieces)
            same = (theirs.reason, theirs.prompt_tokens, theirs.reused)
            assert (mine.reason, mine.prompt_tokens, mine.reused) == same
    got = c_writers.ran(b"", kotlin, "flow", assets)
    assert got.number() == 3
    assert got.text() == got.text() != ""
    (closed,) = c_writers.written(kotlin, assets, ["the road"], settings, until=-2)
    assert (closed.code, closed.reason, len(closed.pieces)) == (0, "cancelled", 1)


@pytest.mark.slow
def test_the_archive_of_one_task_is_small_and_answers_as_python_does(made, program, tmp_path):
    """The real compiler's classes, as they are shipped."""
    program("Answers")  # or it says why it cannot
    place = made("bert", "text-classification", ("good", "bad"))
    kotlinc = kotlin_programs.compiler(tmp_path / "kotlinc")
    asked = [str(place / "bundle"), "--out", str(tmp_path / "app"), "--kotlinc", str(kotlinc)]
    asked += ["--classpath", os.pathsep.join(map(str, kotlin_programs.classpath()))]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert done.exit_code == 0
    jar = kotlin_programs.shipped(tmp_path / "app", tmp_path / "classes.jar")
    with zipfile.ZipFile(jar) as opened:
        names = opened.namelist()
        sizes = [one.compress_size for one in opened.infolist()]
    assert jar.stat().st_size < MOST_CLASSES
    assert sum(sizes) > MOST_CLASSES / 3, "it is the library"
    assert {"edgewright/Edgewright.class", "META-INF/main.kotlin_module"} < set(names)
    assert not [name for name in names if "Translator" in name or "Entity" in name]
    kotlin = kotlin_programs.program(tmp_path / "Answers", "Answers", ways=TURKISH, shipped=jar)
    items = ["a charming journey", "", "🙂 no"]
    found = c_programs.answers(kotlin, tmp_path / "app" / android._ASSETS, items, top_k=2)
    with edgewright.load(place / "bundle", careful=False, top_k=2) as pipeline:
        wanted = pipeline.answered([pipeline.task.taken(one) for one in items])
    pairs = zip(found, wanted, strict=True)
    assert [why for mine, theirs in pairs if (why := unlike("text-classification", mine, theirs, 2e-6))] == []


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_classes_of_a_task_are_few(task, program):
    """Those of whole files: what a file has for other tasks alone, which an export leaves out, is counted too.

    What opens models with a key is counted for tasks whose models can have one.
    """
    program("Tokens")  # or it says why it cannot
    sources = {path.stem for path in android._SOURCES.rglob("*.kt")}
    mine = {task, kotlin_sources.ENCRYPTED} if task in kotlin_sources._ANSWERED else {task}
    gone = {stem for stem, tasks in kotlin_sources._NEEDED_BY.items() if mine.isdisjoint(tasks)} & sources
    classes = kotlin_programs.of_library(kotlin_programs.compiled())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, source in classes.items():
            if source not in gone:
                archive.write(path, f"edgewright/{path.name}")
    assert MOST_CLASSES / 2 < len(packed.getvalue()) < MOST_CLASSES


@pytest.mark.slow
def test_what_goes_wrong_is_told(made, program, tmp_path):
    export_android(made("bert", "token-classification", TAGS) / "bundle", out=tmp_path / "app")
    assets = tmp_path / "app" / android._ASSETS
    done = subprocess.run([program("Faults"), assets, tmp_path / "scratch"], capture_output=True, text=True, check=True)
    said = dict(line.split(" | ") for line in done.stdout.splitlines())
    assert int(said["golden cases"]) > 3
    assert said["mapped, as in an app's archive"] == said["golden cases"]
    assert (said["lone surrogates"], said["a megabyte"], said["two threads"]) == ("true", "true", "100 true")
    assert said["closed while it answers"] == "[CLOSED, CLOSED]"
    assert said["big cores"] == "4 2 true"
    for what, why in {
        "more than that": "TOO_LONG: a text has more than a megabyte, split it",
        "another task": "TASK: this model's task is token-classification, not text-classification",
        "no room": "NO_ROOM: a limit of 1 tokens leaves no room for the text",
        "after it is closed": "CLOSED: the model is closed",
        "model.txt missing": "FILE: model.txt cannot be read",
        "model.txt altered": "ALTERED: model.txt",
        "model.txt older": "ALTERED: model.txt is of another version",
        "tokenizer.bin missing": "FILE: tokenizer.bin cannot be read",
        "tokenizer.bin cut": "ALTERED: tokenizer.bin",
        "tokenizer.bin altered": "ALTERED: tokenizer.bin is not what was exported: it has another checksum",
        "tokenizer.bin older": "ALTERED: tokenizer.bin is not what was exported: it has no head of this version",
        "model.onnx missing": "ENGINE: ONNX Runtime does not open model.onnx",
        "model.onnx cut": "ENGINE: ONNX Runtime does not open model.onnx",
        "vectors.json cut": "ALTERED: vectors.json is not what was exported",
    }.items():
        assert said[what].startswith(why), (what, said[what])


@pytest.mark.slow
def test_a_machine_without_the_engine_is_told(made, program, tmp_path):
    """As an ABI is for which an app has no library."""
    script = program("Faults")
    script.write_text(script.read_text().replace(str(kotlin_programs.KIT / "engine"), str(tmp_path / "nowhere")))
    assets = made("bert", "token-classification", TAGS) / "c" / "assets"
    done = subprocess.run([script, assets, tmp_path / "scratch"], capture_output=True, text=True, check=False)
    assert "EdgewrightException: ONNX Runtime does not load here" in done.stderr
