"""Models that write, end to end: from a file to a bundle to text, by the command line."""

import json
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from adb_world import ADBD
from conftest import edgewright, rows
from gguf_file import gguf_file
from lighter import first
from llama2c import VOCABULARY, llama2c
from native import SANITIZED, compiled, engine

import edgewright as ew
from edgewright.bundle.bundle import Bundle
from edgewright.exporting.c import export_c

sys.path.insert(0, str(Path(__file__).parents[1] / "exporting"))
import c_writers

pytestmark = pytest.mark.slow
APPS = ("executorch", "tflite", "torchscript")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return llama2c(tmp_path_factory.mktemp("llama2c"), context=128)


@pytest.fixture(scope="module")
def bundle(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("decoder") / "writer"
    edgewright("build", checkpoint, "--out", out, "--precision", "fp32,int8", "--allow-divergence", "-q")
    return out


def test_every_artifact_is_proven_and_replayed(bundle):
    fp32, int8 = Bundle.open(bundle).manifest.artifacts
    assert fp32.parity.diverged is None
    assert (fp32.decoding.equal, fp32.decoding.prompts, fp32.decoding.written) == (20, 20, 64)
    assert fp32.decoding.ways == ("cached", "chunked", "resumed")
    assert fp32.decoding.perplexity == pytest.approx(fp32.decoding.reference, rel=1e-4)
    assert int8.decoding.kl > fp32.decoding.kl
    assert fp32.total_bytes == sum((bundle / path).stat().st_size for path in (fp32.path, f"{fp32.path}.data"))
    rows = json.loads(edgewright("verify", bundle, "--json"))["rows"]
    assert [row["golden"] for row in rows] == ["4 of 4", "4 of 4"]


@pytest.mark.parametrize(
    ("board", "wanted", "other", "cache"),
    [
        ("raspberry-pi-4", b"MatMulInteger", b"MatMulNBits", "float32"),
        ("raspberry-pi-5", b"MatMulNBits", b"MatMulInteger", "int8"),
    ],
)
def test_the_boards_cpu_chooses_how_bytes_are_multiplied(checkpoint, tmp_path, board, wanted, other, cache):
    """The second one keeps its keys and values in 8 bits besides, as is asked."""
    asked = ("--format", "onnx", "--precision", "int8", "--device", board, "--allow-divergence", "-q")
    edgewright("build", checkpoint, "--out", tmp_path / "b", *asked, *["--int8-cache"] * (cache == "int8"))
    (int8,) = Bundle.open(tmp_path / "b").manifest.artifacts
    graph = (tmp_path / "b" / int8.path).read_bytes()
    assert wanted in graph
    assert other not in graph
    assert int8.decoding.kl < 0.02
    assert int8.decoding.ways == ("cached", "chunked", "resumed")
    assert int8.cache_dtype == cache
    (row,) = json.loads(edgewright("verify", tmp_path / "b", "--json"))["rows"]
    assert row["golden"] == "4 of 4"


def test_what_is_installed_says_how_fast_it_writes(bundle, tmp_path):
    """`-` is whatever a board has: that it writes is asked there."""
    on = ("--root", tmp_path / "board", "--precision", "int8")
    edgewright("flash", bundle, "local", *on[:2], "-q")
    plan = ("--tokens", "8", "--written", "4", "--processes", "1", "-q")
    (row,) = rows("bench", "-", "--device", "local", *on, *plan)
    assert (row["prompt"], row["format"]) == (8, "onnx")
    assert min(row["read_per_s"], row["written_per_s"], row["first_ms"]) > 0
    why = "--roofline is of models that answer at once"
    assert why in edgewright("bench", "-", "--device", "local", *on, "--roofline", "-q", check=2)


@pytest.fixture(scope="module")
def mobile(checkpoint, tmp_path_factory):
    """The formats of apps: ExecuTorch's cache lies in the program, the others' come with the tokens."""
    out = tmp_path_factory.mktemp("mobile") / "writer"
    asked = ("--format", "executorch,tflite,torchscript", "--precision", "fp32,int8", "--allow-divergence", "-q")
    edgewright("build", checkpoint, "--out", out, *asked)
    return out


def test_the_formats_of_apps_write_the_same(checkpoint, bundle, mobile, tmp_path):
    table = checkpoint.read_bytes()[28 : 28 + len(VOCABULARY) * 32 * 4]  # behind seven numbers
    assert (mobile / "executorch/model.pte").read_bytes().count(table) == 1, "lookup and head of a tied model share it"
    artifacts = Bundle.open(mobile).manifest.artifacts
    assert [artifact.key for artifact in artifacts if artifact.precision == "fp32"] == [f"{name}/fp32" for name in APPS]
    for artifact in artifacts:
        if artifact.precision == "int8":
            assert artifact.decoding.kl < 0.02
            assert artifact.total_bytes < 0.75 * next(
                one.total_bytes for one in artifacts if one.key == f"{artifact.format}/fp32"
            )
            continue
        assert artifact.parity.diverged is None
        assert (artifact.decoding.equal, artifact.decoding.prompts, artifact.decoding.written) == (20, 20, 64)
        assert artifact.decoding.ways == ("cached", "chunked", "resumed")
    rows = json.loads(edgewright("verify", mobile, "--json"))["rows"]
    assert [row["golden"] for row in rows] == ["4 of 4"] * 6
    options = ("--precision", "fp32", "--max-new-tokens", "40")
    wanted = edgewright("run", bundle, "the road", *options)
    for name in APPS:
        unseen = {"XDG_CACHE_HOME": str(tmp_path)}  # a machine that has opened none of them looks in a child first
        assert edgewright("run", mobile, "the road", *options, "--format", name, **unseen) == wanted


@pytest.mark.parametrize("name", APPS)
def test_a_conversation_goes_on_where_its_cache_was_kept(mobile, tmp_path, name):
    with ew.load(mobile, format=name, precision="fp32") as writer:
        first = "".join(writer.stream("the road", max_new_tokens=12, ignore_end=True))
        writer.session.save(tmp_path / "kept")
        wanted = "".join(writer.stream("the road" + first, max_new_tokens=12, ignore_end=True))
    with ew.load(mobile, format=name, precision="fp32") as writer:
        writer.session.resume(tmp_path / "kept")
        assert "".join(writer.stream("the road" + first, max_new_tokens=12, ignore_end=True)) == wanted
        assert writer.last.reused > 0


HEAP = """
import re, sys, edgewright as ew
with ew.load(sys.argv[1], format=sys.argv[2], precision="int8") as writer:
    heap = re.findall(r"\\[heap\\](?s:.*?)VmFlags: ([a-z0-9 ]+)", open("/proc/self/smaps").read())
print(any("hg" in flags.split() for flags in heap))
"""


@pytest.mark.parametrize("name", ["executorch", "tflite"])
def test_what_an_engine_packs_may_lie_on_huge_pages(mobile, name):
    """Of which decoding reads all for each token; whether there are some to give is the kernel's to say."""
    if not Path("/sys/kernel/mm/transparent_hugepage").is_dir():
        pytest.skip("this kernel has no huge pages")
    done = subprocess.run([sys.executable, "-c", HEAP, str(mobile), name], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "True"


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """That of a device without Python, which ends itself at the first access that C forbids."""
    return compiled(tmp_path_factory.mktemp("runner") / "edgewright-run", flags=SANITIZED)


@pytest.mark.usefixtures("adb_world")
def test_a_device_without_python_writes_the_same(mobile, runner, tmp_path, monkeypatch):
    """Over a real adb connection: words and choices are made here, keys and values lie there."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")
    monkeypatch.setattr("edgewright.runtimes._native._MOST_LOGITS", 700)  # of two tokens of this vocabulary
    url, root = f"adb://127.0.0.1:{ADBD}", ["--root", tmp_path / "board"]
    flashed = rows("flash", mobile, url, *root, "--runner", runner, "--engine", engine(), "-q", here=True)
    replayed = {f"{row['format']}/{row['precision']}": row["golden"] for row in flashed}
    assert [replayed[f"tflite/{one}"] for one in ("fp32", "int8")] == ["4 of 4"] * 2
    on = ["--device", url, *root]
    asked = ["the road", "", "then " * 10, "--max-new-tokens", "12", "--raw"]
    for more in (["--precision", "fp32"], ["--precision", "int8", "--temperature", "0.9", "--seed", "3"]):
        there = rows("run", mobile, *asked, *more, *on, here=True)
        assert there == rows("run", mobile, *asked, *more, "--format", "tflite", here=True)
    refused = edgewright("run", mobile, "the road", *on, "--context", "4", here=True, check=2)
    assert "the context is 4" in refused
    (tmp_path / "held.txt").write_text("the rain and the road\n\nin the end " + "the " * 50)
    scored = ["eval", mobile, "--data", tmp_path / "held.txt", "--format", "tflite", "--precision", "fp32", "-q"]
    there, here = ([row["score"] for row in rows(*scored, *more, here=True)] for more in (on, ()))
    assert there == here
    plan = ["--tokens", "16", "--written", "6", "--processes", "1", "--precision", "int8", "-q"]
    (row,) = rows("bench", "-", *on, *plan, here=True)
    assert min(row["read_per_s"], row["written_per_s"], row["first_ms"], row["peak_rss_mib"]) > 0
    assert (row["engine"], row["prompt"]) == ("litert", 16)


def test_a_runner_writes_by_itself_and_refuses_what_has_no_room(mobile, runner):
    """Greedy tokens there are those that are chosen here; and no request makes the runner do what C forbids."""
    path, chance = mobile / "tflite" / "model.tflite", random.Random(3)
    argv = [str(runner), "infer", str(engine()), str(path), "1", "60"]
    with ew.load(mobile, format="tflite", precision="fp32") as writer:
        ids, room = writer.tokenizer.ids("the road"), writer.session.decoder.context
        wanted = [*writer.write(ids, writer.options(max_new_tokens=20, ignore_end=True))]
    answers, frames = [], b""

    def ask(letter, *fields):
        nonlocal frames
        body = letter + b"".join(struct.pack("<I", len(one)) + one for one in fields)
        frames += struct.pack("<I", len(body)) + body

    def number(value):
        return struct.pack("<Q", value)

    ids_sent = struct.pack(f"<{len(ids)}i", *ids)
    ask(b"W", number(2), number(19), ids_sent)
    for start, kept, sent in (
        (room - 1, 1, ids_sent),
        (2**63, 1, ids_sent),
        (0, 99, ids_sent),
        (0, 1, ids_sent[:5]),
        (0, 1, struct.pack("<i", -1)),
    ):
        ask(b"L", number(start), number(kept), sent)
    ask(b"W", number(1), number(room), ids_sent)
    for _ in range(40):
        fields = [number(chance.choice((0, 1, 5, room - 1, room, 2**63))), number(chance.choice((0, 1, 2, 2**62)))]
        sent = [chance.randrange(-1, 300) for _ in range(chance.choice((0, 1, 3, room, room + 1)))]
        ask(chance.choice((b"L", b"W", b"R")), *fields[: chance.randrange(3)], struct.pack(f"<{len(sent)}i", *sent))
    done = subprocess.run(argv, input=frames, capture_output=True, env={"ASAN_OPTIONS": "detect_leaks=0"}, check=False)
    assert (done.returncode, b"Sanitizer" in done.stderr, b"runtime error" in done.stderr) == (0, False, False)
    said, at = done.stdout.partition(b"edgewright-run 1\n")[2], 0
    while at < len(said):
        (size,) = struct.unpack_from("<I", said, at)
        answers.append(said[at + 4 : at + 4 + size])
        at += 4 + size
    assert struct.pack("<20i", *wanted) in answers[0]
    assert [struct.unpack_from("<i", one)[0] for one in answers[1:7]] == [-1] * 6
    for answer, why in zip(
        answers[1:7],
        (
            *(f"room for {room}", f"room for {room}", "none that can be sent"),
            *("no tokens", "token 0 is -1", f"room for, {room}"),
        ),
        strict=True,
    ):
        assert why in answer.decode(errors="replace")


def test_a_program_in_c_on_litert_writes_the_same(mobile, tmp_path):
    program = c_writers.compiled(tmp_path / "writing", "-O0")
    prompts = ["the road", "the road and the rain", "then " * 12, "é 😀"]
    for precision, settings in (
        ("fp32", {"when_full": "slide", "max_new_tokens": 80}),
        ("int8", {"temperature": 1.1, "seed": 5}),
    ):
        export_c(mobile, out=tmp_path / precision, format="tflite", precision=precision)
        ways = {"ignore_end": True, **settings}
        found = c_writers.written(program, tmp_path / precision / "assets", prompts, ways)
        with ew.load(mobile, format="tflite", precision=precision) as writer:
            for prompt, mine in zip(prompts, found, strict=True):
                pieces, theirs = list(writer.stream(prompt, **ways)), writer.last
                assert (mine.why, mine.tokens, mine.pieces) == ("", theirs.tokens, pieces)
                assert (mine.reason, mine.prompt_tokens, mine.reused) == (
                    theirs.reason,
                    theirs.prompt_tokens,
                    theirs.reused,
                )


def test_litert_lm_opens_the_tflite_artifact_as_it_is(mobile, tmp_path):
    builder = pytest.importorskip("litert_lm_builder", reason="what packs the file: pip install 'edgewright[host]'")
    out = tmp_path / "writer.litertlm"
    edgewright("export", "litertlm", mobile, "--out", out, "--precision", "fp32")
    builder.unpack(str(out), str(tmp_path / "parts"))
    parts = {path.suffix: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert parts[".tflite"] == (mobile / "tflite/model.tflite").read_bytes()
    lm = pytest.importorskip("litert_lm", reason="the engine is 132 MB, and asked by tools/check_litertlm")
    with lm.Engine(str(out), backend=lm.Backend.CPU()) as engine, ew.load(mobile, format="tflite") as writer:
        session = engine.create_session(apply_prompt_template=False, max_output_tokens=12)
        session.run_prefill(["the road"])
        found = session.run_decode().texts[0]
        assert found.strip() == "".join(writer.stream("the road", max_new_tokens=12)).strip()


TEXT_RUNNER = """
import sys
from executorch.extension.llm.custom_ops import custom_ops
from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner
runner = TextLLMRunner(sys.argv[1] + "/executorch/model.pte", sys.argv[1] + "/tokenizer.json")
asked = GenerationConfig(max_new_tokens=12, temperature=0.0, echo=False, num_bos=1)
pieces = []
runner.generate("the road", asked, pieces.append, lambda _: None)
print("".join(pieces))
"""


@pytest.mark.heavy
def test_executorchs_own_runner_writes_the_same(mobile):
    argv = [sys.executable, "-c", TEXT_RUNNER, str(mobile)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    with ew.load(mobile, format="executorch", precision="fp32") as writer:
        ours = "".join(writer.stream("the road", max_new_tokens=12))
    # It decodes each token by itself, where its tokenizer takes the blank in front for that of a text
    assert done.stdout.splitlines()[-1].replace(" ", "") == ours.replace(" ", "")


def test_where_the_time_of_a_token_goes(bundle, mobile):
    asked = ("profile", bundle, "--tokens", "20", "--runs", "3", "--by", "layer", "--json")
    found = {name: json.loads(edgewright(*asked, "--precision", name)) for name in ("fp32", "int8")}
    fp32, int8 = (found[name]["trace"]["operators"] for name in found)
    assert all(one["writes"] for one in found.values())
    assert {row["what"] for row in found["int8"]["rows"]} >= {"embedding", "layers.0", "layers.1", "head"}
    products = [one for one in fp32 if one["kind"] in ("MatMul", "Gemm")]
    assert sum(one["moved_bytes"] for one in products) == pytest.approx(
        4 * sum(one["macs"] for one in products), rel=0.1
    )
    small = [one for one in int8 if one["kind"] == "MatMulNBits"]
    assert sum(one["macs"] for one in small) == sum(one["macs"] for one in products)
    # Rows of 32 and 48 numbers are stored as blocks of 32 and 16, each with a scale
    assert sum(one["moved_bytes"] for one in small) < 0.6 * sum(one["moved_bytes"] for one in products)
    heads = [one["macs"] for one in fp32 if one["kind"] == "GroupQueryAttention"]
    assert set(heads) == {2 * 21 * 32}  # a query of its width with the keys of 21 tokens, and their values
    assert "onnxruntime does" in edgewright("profile", mobile, "--format", "tflite", "--tokens", "20", check=2)
    parts = {
        row["what"]: row
        for row in json.loads(edgewright("profile", bundle, "--why", "int8", "--tokens", "20", "--json"))["rows"]
    }
    assert parts["products with weights"]["other_ms"] > 0


def test_one_prompt_is_written_out_and_several_are_rows(bundle):
    options = ("--precision", "fp32", "--max-new-tokens", "12")
    text = edgewright("run", bundle, "the road", *options)
    (row,) = json.loads(edgewright("run", bundle, "the road", *options, "--json"))["rows"]
    assert row["answer"] == [{"generated_text": "the road" + text.removesuffix("\n")}]
    several = ("run", bundle, "the road", "a tree", "then", *options)
    rows = [json.loads(line) for line in edgewright(*several).splitlines()]
    assert rows[0] == row
    assert [json.loads(line) for line in edgewright(*several, "--batch-size", "2").splitlines()] == rows
    assert edgewright("run", bundle, "the road", *options, "--lookup", "4") == text
    assert edgewright("run", bundle, "the road", *options, "--temperature", "1", "--seed", "3") != text


def test_an_answer_keeps_to_its_form(bundle, tmp_path):
    alone = ("--precision", "fp32", "--max-new-tokens", "40", "--temperature", "1", "--seed", "4")
    assert edgewright("run", bundle, "the road", *alone, "--choices", "left, right").strip() in ("left", "right")
    assert 10 <= int(edgewright("run", bundle, "the road", *alone, "--regex", "[1-9][0-9]")) <= 99
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 3}')
    assert set(json.loads(edgewright("run", bundle, "the road", *alone, "--json-schema", schema))) <= {"a", "b"}
    schema.write_text('{"enum": []}')
    words = edgewright("run", bundle, "the road", "--json-schema", schema, check=2)
    assert "no answer can have this form" in words


def test_tokens_are_those_of_transformers(bundle, checkpoint):
    """The directory that is unpacked is the oracle's as well: 40 greedy tokens by `generate`, from one word."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from edgewright.converters._decoder.llama2c import unpack

    out = checkpoint.parent / "unpacked"
    out.mkdir()
    unpack(checkpoint, checkpoint.parent / "tok.bin", out)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    ids = tokenizer("then", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        wanted = model.generate(ids, max_new_tokens=40, do_sample=False, eos_token_id=None, pad_token_id=0)
    with ew.load(bundle, precision="fp32") as writer:
        assert writer.ids("then") == ids[0].tolist()
        list(writer.stream("then", max_new_tokens=40, ignore_end=True))
        assert writer.last.tokens == wanted[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize(("kind", "precision"), first(1, [("Q4_1", "int4"), ("Q4_0", "int4"), ("Q8_0", "int8")]))
def test_a_carried_grid_gives_the_dequantized_model(tmp_path, kind, precision):
    """The artifact has the codes of the GGUF file, and the eager model is what transformers makes of it."""
    path, out = gguf_file(tmp_path / f"{kind}.gguf", kind), tmp_path / kind
    edgewright("build", path, "--out", out, "--precision", precision, "--allow-divergence", "-q")
    (artifact,) = Bundle.open(out).manifest.artifacts
    assert artifact.carried == kind
    assert artifact.parity.sqnr_db > 25  # the activations alone are rounded; a wrong code would be below 10


def test_a_gguf_that_is_cut_or_of_no_use_is_one_line(tmp_path):
    path = gguf_file(tmp_path / "whole.gguf", "Q4_1")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut.gguf is not read as GGUF" in edgewright("build", cut, "--out", tmp_path / "x", check=3)
    words = edgewright("build", path, "--out", tmp_path / "x", "--task", "fill-mask", check=3)
    assert f"{path} has no mask token" in words, "not the directory that it was unpacked in"
    assert not (tmp_path / "x").exists()


def test_a_checkpoint_that_is_not_whole_is_refused_with_what_is_wrong(checkpoint, tmp_path):
    cut = tmp_path / "model.bin"
    cut.write_bytes(checkpoint.read_bytes()[:-4])
    assert "vocabularies tok*.bin lie beside it" in edgewright("build", cut, "--out", tmp_path / "x", check=3)
    words = checkpoint.parent / "tok.bin"
    found = edgewright("build", cut, "--tokenizer", words, "--out", tmp_path / "x", check=3)
    assert "neither GGUF nor a whole checkpoint" in found
    short = tmp_path / "tok2.bin"
    short.write_bytes(words.read_bytes()[:-3])
    found = edgewright("build", checkpoint, "--tokenizer", short, "--out", tmp_path / "x", check=3)
    assert "tok2.bin is no vocabulary of llama2.c" in found
    assert not (tmp_path / "x").exists()


def test_a_race_chooses_what_answers_first_and_load_takes_it(bundle, tmp_path):
    raced = tmp_path / "raced"
    shutil.copytree(bundle, raced)
    asked = ("race", raced, "--tokens", "4,12", "--written", "6", "--processes", "2", "--threads", "1,2")
    found = json.loads(edgewright(*asked, "--json"))["rows"]
    assert {(row["precision"], row["threads"]) for row in found} == {("fp32", 1), ("fp32", 2), ("int8", 1), ("int8", 2)}
    assert found[0]["verdict"].startswith("the winner")
    assert all(row["median_ms"] > 0 and row["peak_rss_mib"] > 10 for row in found)
    (choice,) = json.loads((raced / "manifest.json").read_text())["choices"]
    assert choice["inputs"] == "4 tokens read and 6 written; 12 tokens read and 6 written"
    assert choice["threads"] == found[0]["threads"]
    with ew.load(raced) as writer:
        assert writer.artifact.precision == found[0]["precision"]
    edgewright("verify", raced)
    (tmp_path / "x.txt").write_text("a text\n")
    words = edgewright("race", raced, "--input", tmp_path / "x.txt", check=2)
    assert "--input is of models that answer at once" in words
    assert "raced by the time of its answers" in edgewright("race", raced, "--by", "cpu", check=2)
    assert "the context is 128" in edgewright("race", raced, "--tokens", "124", check=2)


def test_what_a_decoder_is_not_asked_says_so(bundle, demo_bundle):
    assert "the options of a decoder mean nothing" in edgewright("run", demo_bundle, "x", "--seed", "1", check=2)
    assert "the prompt has" in edgewright("run", bundle, "the " * 200, check=2)
    for context in ("0", "-5"):
        words = edgewright("run", bundle, "x", "--context", context, check=2)
        assert f"context is {context}, it must be a whole number from 1" in words
    for option in ("--out", "--baseline", "--against", "--input"):
        words = edgewright("bench", bundle, option, "x.json", check=2)
        assert f"{option} is of models that answer at once" in words
    assert "a pair or a query means nothing" in edgewright("run", bundle, "x", "--pair", "y", check=2)
    assert "nowhere to put --system" in edgewright("run", bundle, "x", "--system", "be kind", check=3)
    assert "give texts, --input, or texts on standard input" in edgewright("run", demo_bundle, check=2)
    assert "text-generation" in edgewright("eval", bundle, "--data", "x.tsv", "--metric", "f1", check=2)
