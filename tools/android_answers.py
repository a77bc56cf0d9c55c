"""The Kotlin library on the JVM, held against Python.

    tools/android_answers.py tokens TOKENIZER.json... | answers [FORMAT] | writing [FORMAT...] | archive BUNDLE...
    tools/android_answers.py translating [BUNDLE...] | compiling [Onnx|LiteRt|ExecuTorch...] | encrypted [FORMAT...]

`tokens`: ids and offsets of the texts that tools/tokens.py has, for each tokenizer, on every JDK that is found and in a
Turkish locale, and how long opening and a text take. `answers`: of each task 100 items, for three tokenizers, by ONNX
Runtime's Java interface and the library that Python has; as tflite or executorch on LiteRT or ExecuTorch, by what
stands for their Java interfaces over the engine itself. `writing`: what tools/c_writing.py asks of decoders, on all
three. `translating`: what tools/c_translations.py asks, of its translators and of the given ones. These three ask the
classes that an export of that task ships. `compiling`: the library, the sample and an app's Kotlin, of tasks on each
engine. `archive`: archives for Android without Gradle, their sizes, an app's Kotlin compiled against them, and golden
cases by their classes on every JDK. `encrypted`: models that open with a key, beside Python, and files beside Google's
own Tink, where that is installed (pip install tink). docs/apps.md has the last result.

Needs tools/android_setup. Classes of LiteRT and ExecuTorch are looked for in its build/android, as litert.jar and
executorch.jar (docs/apps.md says where they come from); an engine without them is asked by classes that were compiled
against what stands for its own, and is left out of `compiling`.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.bundle.manifest import Artifact

os.environ["TOKENIZERS_PARALLELISM"] = "true"
ROOT = Path(__file__).parents[1]
TURKISH = ("-Duser.language=tr", "-Duser.country=TR")
"""Where the lower case of I is another letter."""
ROUNDS = "4"
"""The first is cold; the best of the others counts."""
FORMATS = ("onnx", "tflite", "executorch")
MIXED = ("text-classification", "translation")
"""What an export of one task with `--tasks` of another has."""
sys.path[:0] = [
    str(ROOT / "tests" / "exporting"),
    str(ROOT / "tests"),
    str(ROOT / "tests" / "generation"),
    str(ROOT / "tools"),
]

import c_programs  # noqa: E402
import c_writers  # noqa: E402
import kotlin_programs  # noqa: E402
import native  # noqa: E402
import tiny_models  # noqa: E402
import token_texts  # noqa: E402
from llama2c import talker  # noqa: E402
from load_tool import load_tool  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

import edgewright  # noqa: E402
from edgewright.bundle.bundle import Bundle  # noqa: E402
from edgewright.errors import InputError  # noqa: E402
from edgewright.exporting.android import _ASSETS, _ENGINES, export_android, sizes  # noqa: E402
from edgewright.exporting.c import TASKS  # noqa: E402
from edgewright.exporting.encrypted_file import encrypt_file  # noqa: E402
from edgewright.exporting.kotlin_sources import ENCRYPTED  # noqa: E402
from edgewright.exporting.tokenizer_file import tokenizer_file  # noqa: E402

unlike = functools.partial(c_programs.unlike, whole=True)  # no NUL ends a text of the JVM


def runtimes() -> dict[str, Path]:
    """The JDKs of this machine, by their directories' names."""
    found = {path.resolve(): path.parents[1].name for path in sorted(Path("/usr/lib/jvm").glob("*/bin/java"))}
    return {name: path for path, name in found.items()}


def tokens(scratch: Path, names: list[str]) -> int:
    wrong = 0
    shared = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
    for name in names:
        file = scratch / "tokenizer.bin"
        file.write_bytes(tokenizer_file(Path(name).read_bytes()))
        backend = Tokenizer.from_file(name)
        backend.no_truncation()
        backend.no_padding()
        added = [token.content for token in backend.get_added_tokens_decoder().values()]
        for kind, texts in load_tool("tokens").sets(shared, added).items():
            given = b"".join(struct.pack("<I", len(data)) + data for data in map(str.encode, texts))
            wanted = [(right.ids, right.offsets) for right in backend.encode_batch(texts)]
            for java, path in runtimes().items():
                program = kotlin_programs.program(scratch / "tokens", "Tokens", java=str(path), ways=TURKISH)
                rounds = ROUNDS if kind == "SST-2 train" else "1"
                done = subprocess.run([program, file, rounds], input=given, capture_output=True, check=True)
                found = token_texts.parsed(done.stdout, len(texts))
                bad = [text for text, mine, right in zip(texts, found, wanted, strict=True) if mine != right]
                wrong += len(bad)
                opened, *took = done.stderr.decode().split("\n")[:-1]
                print(f"{name}, {kind}, {java}: {len(bad)} of {len(texts)} differ", *map(repr, bad[:3]), flush=True)
                if len(took) > 1:
                    best = min(map(float, took[1:]))
                    print(f"  {opened} s, {len(texts) / best:,.0f} texts/s, cold {len(texts) / float(took[0]):,.0f}")
            if kind == "SST-2 train":
                began = time.process_time()
                for text in texts:
                    backend.encode(text)
                print(
                    f"  tokenizers, one by one: {len(texts) / (time.process_time() - began):,.0f} texts/s", flush=True
                )
    return wrong


def has_classes(engine: str) -> bool:
    """Whether an engine's own Java classes are in the kit."""
    return (kotlin_programs.KIT / kotlin_programs.ENGINES[engine]).is_file()


def program(scratch: Path, name: str, kind: str, task: str, *more: str, java: str = "java") -> Path:
    """A program for a format, on the classes that an export of its task ships, if the kit has its engine's own.

    `more` is what else the export has.
    """
    engine = _ENGINES[kind]
    needs: dict[str, object] = {}
    if kind == "tflite":
        needs = {"EW_RUNNER": native.compiled(scratch / "run"), "EW_ENGINE": native.engine()}
    elif kind == "executorch":
        server = ROOT / "tests" / "exporting" / "executorch_server.py"
        needs = {"EW_PYTHON": sys.executable, "EW_SERVER": server}
    shipped = kotlin_programs.exported(engine, (task, *more))[1] if has_classes(engine) else None
    print(f"{name} of {task} on {engine}: {'shipped classes' if shipped else 'classes of all tasks'}", flush=True)
    place = scratch / f"{name}-{kind}-{task}"
    return kotlin_programs.program(place, name, java=java, ways=TURKISH, engine=engine, needs=needs, shipped=shipped)


def answers(scratch: Path, names: list[str]) -> int:
    """Every task's answers beside Python's; how many are other ones."""
    wrong, given, kind = 0, load_tool("c_answers"), (names or ["onnx"])[0]
    ways_of = {task: program(scratch, "Answers", kind, task) for task in given.TASKS}
    for family in given.FAMILIES:
        for task, ways in given.TASKS.items():
            place = scratch / family / task
            labels = given.LABELS.get(task, ())
            source = tiny_models.make(family, task, place / "source", labels=labels, length=96, std=0.3)
            bundle = place / "bundle"
            edgewright.build(
                source, task=task, formats=[kind], precisions=["fp32"], out=bundle, progress=lambda _: None
            )
            export_android(bundle, out=place / "app", format=kind)  # type: ignore[arg-type]
            with edgewright.load(bundle, careful=False) as pipeline:
                asked = given.items(task, pipeline.tokenizer.mask_token if task == "fill-mask" else "")
                for options in ways:
                    mine = c_programs.answers(ways_of[task], place / "app" / _ASSETS, asked, **options)
                    asking = pipeline.asking(**options)
                    theirs = [asking.answered([asking.task.taken(one)])[0] for one in asked]
                    said = [unlike(task, a, b, given.TOLERANCE) for a, b in zip(mine, theirs, strict=True)]
                    bad = [one for one in said if one]
                    wrong += len(bad)
                    print(family, task, options, f"{len(bad)} of {len(asked)} differ", *bad[:2], flush=True)
    return wrong


def writing(scratch: Path, names: list[str]) -> int:
    """Answers of decoders beside Python's; how many are other ones."""
    asked, wrong = load_tool("c_writing"), 0
    ways = {kind: program(scratch, "Writing", kind, "text-generation") for kind in (names or FORMATS)}
    asked.FORMATS = tuple(ways)
    for bundle in asked.bundles(scratch):
        for artifact in Bundle.open(bundle).manifest.artifacts:
            out = scratch / "app" / bundle.name / artifact.key.replace("/", "-")
            out.parent.mkdir(parents=True, exist_ok=True)
            export_android(bundle, out=out, format=artifact.format, precision=artifact.precision)  # type: ignore[arg-type]
            count, bad = asked.compared(ways[artifact.format], bundle, artifact, out / _ASSETS)
            wrong += bad
            print(f"{bundle.name} {artifact.key}: {bad} of {count} answers differ", flush=True)
    return wrong


def translating(scratch: Path, bundles: list[str]) -> int:
    """Translations beside Python's; how many are other ones."""
    asked, wrong = load_tool("c_translations"), 0
    logging.disable()  # what is cut is told of every text
    way = program(scratch, "Writing", "onnx", "translation")
    texts = asked.sentences()
    for bundle in [*asked.bundles(scratch), *map(Path, bundles)]:
        for artifact in Bundle.open(bundle).artifacts("onnx", None):
            out = scratch / "app" / bundle.name / artifact.precision
            out.parent.mkdir(parents=True, exist_ok=True)
            export_android(bundle, out=out, precision=artifact.precision)
            count, bad = asked.compared(way, bundle, artifact, out / _ASSETS, texts)
            wrong += bad
            print(f"{bundle.name} {artifact.key}: {bad} of {count} translations differ", flush=True)
    return wrong


CALLER = """
package caller

import edgewright.Edgewright
import edgewright.await
%s
suspend fun asked(model: Edgewright) = model.await { task } + Edgewright.slice("text", start = 0, end = 1)
"""
"""Kotlin of an app: calls with names and defaults, for which its compiler reads the library's metadata."""
CALLS = {
    "text-classification": """
fun task(model: Edgewright) = model.classify("a", topK = 2).map { (label, score) -> label to score }
""",
    "text-generation": """
import edgewright.Generation
import edgewright.Message
import edgewright.flow
fun task(model: Edgewright) = model.flow(listOf(Message("user", "a")), Generation(topK = 2).copy(seed = 1))
""",
    "translation": """
import edgewright.Search
import edgewright.translations
fun task(model: Edgewright) = model.translations("a", Search(numBeams = 2))
fun whole(model: Edgewright) = model.translate("a", told = { true }).text
""",
}


def compiling(scratch: Path, engines: list[str]) -> int:
    """The library and the sample of tasks on each engine, against its own classes: how many do not compile.

    Warnings count, which a Gradle build would show. On ONNX Runtime each task; on the others, whose sources differ from
    its by how they answer, write and translate, one of each kind.
    """
    wrong = 0
    for engine in filter(has_classes, engines or kotlin_programs.ENGINES):
        alone = TASKS if engine == "Onnx" else CALLS
        for tasks in (*((task,) for task in alone), MIXED, TASKS, (TASKS[0], ENCRYPTED)):
            words = "all" if tasks == TASKS else ", ".join(tasks)
            try:
                project, jar = kotlin_programs.exported(engine, tasks)
            except InputError as error:
                wrong += 1
                print(f"{engine}, {words}: {error}", flush=True)
                continue
            sample = sorted((project / "sample").rglob("*.kt"))
            good = taken(scratch, [jar, *kotlin_programs.classpath(engine)], tasks[0], *sample)
            wrong += not good
            print(f"{engine}, {words}: classes.jar {jar.stat().st_size}, {'good' if good else 'not good'}", flush=True)
    return wrong


def archive(scratch: Path, bundles: list[str]) -> int:
    """The archives of bundles, by the compiler alone: their sizes, and answers of their classes.

    How many do not answer, or are not what an app's compiler takes.
    """
    wrong = 0
    for at, bundle in enumerate(bundles):
        out = scratch / str(at)
        kit = {"kotlinc": kotlin_programs.compiler(scratch / "kotlinc"), "classpath": kotlin_programs.classpath()}
        export_android(bundle, out=out, **kit)  # type: ignore[arg-type]
        jar = kotlin_programs.shipped(out, scratch / f"{at}.jar")
        task = Bundle.open(Path(bundle)).manifest.task
        print(f"{bundle}, {task}, classes.jar {jar.stat().st_size}: {sizes(out)}", flush=True)
        good = taken(scratch, [jar, *kotlin_programs.classpath()], task)
        print("  an app's Kotlin compiles" if good else "  no app's Kotlin compiles", flush=True)
        wrong += not good
        for java, path in runtimes().items():
            ways = {"java": str(path), "ways": TURKISH, "shipped": jar}
            name = "Writing" if task in CALLS and task != "text-classification" else "Answers"
            program = kotlin_programs.program(scratch / f"{at}-{java}", name, **ways)  # type: ignore[arg-type]
            bad = checked(program, name, out / _ASSETS, bundle)
            wrong += bad
            print(f"  {java}: {'other answers' if bad else 'the same answers'}", flush=True)
    return wrong


BORDERS = tuple(
    end + more for end in (0, 2**20 - 56, 2 * 2**20 - 72, 3 * 2**20 - 88) for more in (-1, 0, 1) if end + more >= 0
)
"""Sizes around the ends of the segments that an encrypted file has."""


def encrypted(scratch: Path, formats: list[str]) -> int:
    """Models that open with a key, by the classes of such an export on every JDK: how many answer otherwise."""
    key = scratch / "key"
    key.touch(0o600)
    key.write_bytes(os.urandom(32))
    wrong = beside_tink(scratch, key)
    for kind in formats or ("onnx", "ort", "tflite"):
        for bundle in bundles_of(kind, scratch / kind):
            for artifact in Bundle.open(bundle).artifacts(kind, None):
                wrong += opens_encrypted(scratch, bundle, artifact, key)
    return wrong


def bundles_of(kind: str, place: Path) -> Iterator[Path]:
    """Of a format a model that classifies, and one that writes where its weights lie in its file."""
    task, asked = "text-classification", {"formats": [kind], "precisions": ["fp32", "int8"], "allow_divergence": True}
    source = tiny_models.make("bert", task, place / "source", labels=("good", "bad"), length=96, std=0.1)
    edgewright.build(source, task=task, out=place / "classifies", progress=lambda _: None, **asked)  # type: ignore[arg-type]
    yield place / "classifies"
    if kind == "tflite":
        (place / "talker").mkdir()
        source = talker(place / "talker")
        edgewright.build(source, task="text-generation", out=place / "writes", progress=lambda _: None, **asked)  # type: ignore[arg-type]
        yield place / "writes"


def opens_encrypted(scratch: Path, bundle: Path, artifact: Artifact, key: Path) -> int:
    """On how many JDKs an encrypted export does not answer as Python does."""
    wrong, kind, text = 0, artifact.format, "the road and the rain"
    out = scratch / f"{bundle.name}-{kind}-{artifact.precision}"
    ways, task = {"format": kind, "precision": artifact.precision}, Bundle.open(bundle).manifest.task
    export_android(bundle, out=out, encrypt=key, **ways)  # type: ignore[arg-type]
    with edgewright.load(bundle, careful=False, **ways) as model:  # type: ignore[arg-type]
        if task == "text-generation":
            wanted = "".join(model.stream(text, max_new_tokens=12, temperature=0.0)).replace("\n", "\\n")
        else:
            (wanted,) = model(text)
    for java, path in runtimes().items():
        opens = program(scratch, "Decrypting", kind, task, ENCRYPTED, java=str(path))
        done = subprocess.run([opens, "model", key, out / _ASSETS, text], capture_output=True, text=True, check=True)
        locked, said = done.stdout.splitlines()
        cases, _, found = said.partition(" ")
        good = locked.startswith(f"KEY: {Path(artifact.path).name} is encrypted") and cases.isdigit() and int(cases) > 0
        if task == "text-generation":
            good = good and found == wanted
        else:
            label, _, score = found.partition(" ")
            good = good and label == wanted["label"] and abs(float(score) - wanted["score"]) < 1e-3
        wrong += not good
        print(f"{kind} {artifact.precision}, {task}, {java}: {said!r}, Python {wanted}", flush=True)
    return wrong


def beside_tink(scratch: Path, key: Path) -> int:
    """Files of ours that Tink opens, and of Tink's that the Kotlin does: how many are other ones."""
    try:
        from tink import proto_keyset_format, secret_key_access, streaming_aead
        from tink.proto import aes_gcm_hkdf_streaming_pb2, tink_pb2
    except ImportError:
        print("not beside Tink: it is not installed", flush=True)
        return 0
    streaming_aead.register()
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    form = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value)
    own = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(params=form.params, key_value=key.read_bytes())
    keys = tink_pb2.Keyset(primary_key_id=1)
    data = tink_pb2.KeyData(
        type_url=template.type_url, value=own.SerializeToString(), key_material_type=tink_pb2.KeyData.SYMMETRIC
    )
    keys.key.add(key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW)
    tink = proto_keyset_format.parse(keys.SerializeToString(), secret_key_access.TOKEN).primitive(
        streaming_aead.StreamingAead
    )
    files, hashes, wrong = [], [], 0
    ours = scratch / "model.onnx"
    for size in BORDERS:
        weights = os.urandom(size)
        ours.write_bytes(weights)
        encrypt_file(ours, key.read_bytes())
        with ours.open("rb") as file, tink.new_decrypting_stream(file, b"model.onnx") as stream:
            wrong += stream.read() != weights
        files.append(scratch / f"{size}.tink")
        with tink.new_encrypting_stream(files[-1].open("wb"), b"model.onnx") as stream:
            stream.write(weights)
        hashes.append(hashlib.sha256(weights).hexdigest())
    print(f"{wrong} of {len(files)} files of ours are not opened by Tink", flush=True)
    for java, path in runtimes().items():
        opens = program(scratch, "Decrypting", "onnx", "text-classification", ENCRYPTED, java=str(path))
        done = subprocess.run([opens, "files", key, *files], capture_output=True, text=True, check=True)
        bad = sum(mine != right for mine, right in zip(done.stdout.splitlines(), hashes, strict=True))
        wrong += bad
        print(f"{bad} of {len(files)} files of Tink's are not opened, {java}", flush=True)
    return wrong


def checked(program: Path, name: str, assets: Path, bundle: str) -> bool:
    """Whether classes of an archive do not do what the bundle's golden cases say."""
    if name == "Writing":
        return c_writers.ran(b"", program, "check", assets).number() < 1
    texts = [case.text for case in Bundle.open(Path(bundle)).golden().cases if isinstance(case.text, str)]
    with edgewright.load(bundle, careful=False) as pipeline:
        wanted = pipeline.answered([pipeline.task.taken(one) for one in texts])
    mine = c_programs.answers(program, assets, texts)
    task = pipeline.task.name
    return any(unlike(task, a, b, 1e-3) for a, b in zip(mine, wanted, strict=True))


def taken(scratch: Path, against: list[Path], task: str, *others: Path) -> bool:
    """Whether Kotlin's compiler takes what an app calls of a library, and other sources, without a warning."""
    source = scratch / "Caller.kt"
    source.write_text(CALLER % CALLS.get(task, "fun task(model: Edgewright) = model.task"))
    words = ["-no-reflect", "-Werror", "-classpath", os.pathsep.join(map(str, against)), "-d", scratch / "caller.jar"]
    argv = [kotlin_programs.compiler(scratch / "kotlinc"), *words, source, *others]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    print(done.stderr, end="", flush=True)
    return done.returncode == 0


def main() -> int:
    if why := kotlin_programs.missing():
        raise SystemExit(why)
    part, *names = sys.argv[1:]
    parts = {
        "tokens": tokens,
        "answers": answers,
        "writing": writing,
        "translating": translating,
        "compiling": compiling,
        "archive": archive,
        "encrypted": encrypted,
    }
    with tempfile.TemporaryDirectory() as scratch:
        wrong = parts[part](Path(scratch), names)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
