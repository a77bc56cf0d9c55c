"""Models that translate, end to end: from a directory of Marian's to a bundle to a translation, by the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import translators
from conftest import edgewright

import edgewright as ew
from edgewright.bundle.bundle import Bundle
from edgewright.errors import BundleError, DataError
from edgewright.exporting import android, ios
from edgewright.exporting.android import export_android
from edgewright.exporting.c import export_c
from edgewright.exporting.ios import export_ios
from edgewright.exporting.web import export_web
from edgewright.serving.client import Client

sys.path.insert(0, str(Path(__file__).parents[1] / "exporting"))
import c_programs
import c_writers
import kotlin_programs
import swift_programs
import web_pages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return translators.opus(tmp_path_factory.mktemp("marian"))


@pytest.fixture(scope="module")
def bundle(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("translator") / "tr"
    edgewright("build", source, "--out", out, "--precision", "fp32,int8", "--allow-divergence", "-q")
    return out


def test_every_artifact_is_proven_and_replayed(bundle):
    opened = Bundle.open(bundle)
    fp32, int8 = opened.manifest.artifacts
    assert opened.manifest.task == "translation"
    assert opened.manifest.source.outside.startswith("transformers ")
    assert fp32.parity.diverged is None
    assert (fp32.decoding.equal, fp32.decoding.prompts, fp32.decoding.written) == (61, 61, 48)
    assert fp32.decoding.ways == ("reordered", "together")
    assert int8.decoding.kl > fp32.decoding.kl
    assert opened.parts(fp32) == ["onnx/model.onnx", "onnx/encoder_model.onnx", "onnx/model.onnx.data"]
    assert not (bundle / "genai_config.json").exists()
    rows = json.loads(edgewright("verify", bundle, "--json"))["rows"]
    assert [row["golden"] for row in rows] == ["4 of 4", "4 of 4"]


@pytest.fixture(scope="module")
def held(source, bundle, tmp_path_factory):
    """A bundle with a shortlist of a few pairs, which costs more than it may: of data that the whole model says."""
    home = tmp_path_factory.mktemp("held")
    with ew.load(bundle, precision="fp32") as translator:
        said = [one["translation_text"] for one in translator(translators.TEXT, num_beams=1)]
    for name, targets in (("pairs", translators.TEXT[::-1]), ("data", said)):
        rows = "".join(f"{text}\t{target}\n" for text, target in zip(translators.TEXT, targets, strict=True))
        (home / f"{name}.tsv").write_text("source\ttarget\n" + rows, encoding="utf-8")
    asked = ("--shortlist", home / "pairs.tsv", "--data", home / "data.tsv", "--precision", "fp32")
    edgewright("build", source, "--out", home / "tr", *asked, "--allow-divergence", "-q")
    return home / "tr"


@pytest.mark.heavy
def test_what_a_shortlist_costs_is_told_and_recorded(held):
    """The data's translations are the whole model's own: greedily it has them all without, and few with it."""
    (artifact,) = Bundle.open(held).manifest.artifacts
    found = artifact.shortlist
    greedy, beams = found.ways
    assert (found.rows, found.data, found.pairs, found.vocabulary) == (8, "data.tsv", 8, artifact.outputs[0].shape[-1])
    assert (greedy.num_beams, beams.num_beams) == (1, 2)
    assert greedy.whole_bleu > 99
    assert greedy.equal < 8
    said = (
        f"held to {found.candidates:.0f} of {found.vocabulary} tokens {8 - greedy.equal} of 8 translations of data.tsv"
    )
    lost = greedy.whole_bleu - greedy.bleu
    assert artifact.parity.diverged.startswith(f"{said} differ greedily, and bleu is {greedy.bleu:.2f}, not ")
    assert f"{lost:.2f} points lost, at most 0.5 are allowed; give --shortlist more pairs" in artifact.parity.diverged


def test_a_bundle_with_a_shortlist_writes_its_tokens_alone(held, bundle, tmp_path):
    """But where a glossary asks for others; other platforms take what they know of it."""
    artifact = Bundle.open(held).manifest.artifacts[0]
    names = ("model", "encoder_model", "candidates_model", "narrow_model")
    assert Bundle.open(held).parts(artifact) == [f"onnx/{name}.onnx" for name in names] + ["onnx/model.onnx.data"]
    with ew.load(held) as translator, ew.load(bundle, precision="fp32") as whole:
        for text in translators.TEXT[:4]:
            (ids,) = translator.sources(text)
            (found,) = translator.write([ids], translator.options(max_new_tokens=12))
            assert set(found.tokens) <= set(translator.shortlist.of(ids, translator.rules).tolist())
        terms = {"lights": "puerta"}
        asked = {"glossary": terms, "num_beams": 8, "max_new_tokens": 12}
        assert translator("Turn on the lights.", **asked) == whole("Turn on the lights.", **asked)
    rows = json.loads(edgewright("verify", held, "--json"))["rows"]
    assert [row["golden"] for row in rows] == ["4 of 4"]
    _, assets = export_c(held, out=tmp_path / "c"), {path.name for path in (tmp_path / "c" / "assets").iterdir()}
    assert assets >= {f"{name}.onnx" for name in names[:2]}
    assert not assets & {f"{name}.onnx" for name in names[2:]}  # apps have the whole vocabulary
    shutil.copytree(held, tmp_path / "tr")
    other = bytearray((held / "shortlist.npz").read_bytes())
    other[-1] ^= 1
    (tmp_path / "tr" / "shortlist.npz").write_bytes(other)
    with pytest.raises(BundleError, match=r"shortlist\.npz has SHA-256"):
        ew.load(tmp_path / "tr")


def test_a_text_is_its_translation_and_several_are_rows(bundle, tmp_path):
    options = ("--precision", "fp32", "--max-new-tokens", "6")
    unseen = {"XDG_CACHE_HOME": str(tmp_path)}  # a machine that has not opened it looks in a child first
    text = edgewright("run", bundle, "Turn on the lights.", *options, **unseen).removesuffix("\n")
    (row,) = json.loads(edgewright("run", bundle, "Turn on the lights.", *options, "--json"))["rows"]
    assert row == {"text": "Turn on the lights.", "answer": [{"translation_text": text}]}
    rows = [json.loads(line) for line in edgewright("run", bundle, "Turn on the lights.", "", *options).splitlines()]
    assert [one["answer"][0]["translation_text"] for one in rows] == [text, ""]


def test_a_glossary_and_details_by_the_command(bundle, tmp_path):
    """Two sentences in one text, of which one has a term; the other is what it is without."""
    (tmp_path / "terms.tsv").write_text("source\ttarget\nfront door\tpuerta\n", encoding="utf-8")
    asked = ("--precision", "fp32", "--max-new-tokens", "12", "--num-beams", "1")
    text = "Turn on <b>the lights</b>. Lock the front door."
    words = (*asked, "--glossary", tmp_path / "terms.tsv", "--details", "--keep-tags")
    (found,) = json.loads(edgewright("run", bundle, text, *words))["answer"]
    first, *_, last = found["sentences"]
    assert edgewright("run", bundle, "Turn on", *asked) == first["translation"] + "\n"
    assert "puerta" in last["translation"]
    assert "terms" not in last["flags"]
    assert "<b>" + found["sentences"][1]["translation"] + "</b>" in found["translation_text"]
    assert all(-20 < one["score"] < 0 for one in found["sentences"])
    (tmp_path / "terms.tsv").write_text("source\ttarget\nfront door\t\n", encoding="utf-8")
    assert "line 2: a pair without its target" in edgewright("run", bundle, text, *words, check=3)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (("--num-beams", "0", "x"), "num_beams is 0, it must be a whole number from 1"),
        ((">>xx<< Lock it",), "the model has no language >>xx<<; it has >>es<<"),
        (("--temperature", "1", "x"), "no option is called temperature"),
        (("--raw", "x"), "--raw is of a decoder"),
    ],
)
def test_what_cannot_be_asked_is_one_line(bundle, asked, shown):
    assert shown in edgewright("run", bundle, *asked, check=2)


def test_an_opened_bundle_translates_as_transformers_does(bundle, source):
    """Its own two beams, and the language that a text asks for; the words are read by Marian's own tokenizer."""
    import torch
    from transformers import MarianMTModel, MarianTokenizer

    texts = [">>es<< Where is the nearest station?", "Play my favorite playlist - the long one."]
    eager, tokenizer = MarianMTModel.from_pretrained(source).eval(), MarianTokenizer.from_pretrained(source)
    wanted = []
    for text in texts:
        with torch.inference_mode():
            (ids,) = eager.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=16)
        wanted.append({"translation_text": tokenizer.decode(ids, skip_special_tokens=True)})
    with ew.load(bundle, precision="fp32") as translator:
        assert translator.defaults.search.num_beams == 2
        assert translator(texts, max_new_tokens=16) == wanted
        assert translator(texts[0], max_new_tokens=16) == wanted[:1]
        assert translator(texts, max_new_tokens=16, batch_size=2) == wanted


def test_a_greedy_translation_s_score_is_transformers_own(bundle, source):
    import torch
    from transformers import MarianMTModel

    eager = MarianMTModel.from_pretrained(source).eval()
    with ew.load(bundle, precision="fp32") as translator:
        (found,) = translator("Where is the nearest station?", num_beams=1, max_new_tokens=16, details=True)
        (ids,) = translator.sources("Where is the nearest station?")
    how = {"num_beams": 1, "max_new_tokens": 16, "return_dict_in_generate": True, "output_scores": True}
    with torch.inference_mode():
        wrote = eager.generate(torch.tensor([ids]), **how)
        shares = eager.compute_transition_scores(wrote.sequences, wrote.scores, normalize_logits=True)
    assert found["score"] == pytest.approx(float(shares.mean()), abs=1e-4)


def test_an_artifact_scores_as_the_eager_model_does(bundle, source, tmp_path):
    (tmp_path / "pairs.tsv").write_text("source\ttarget\nLock the door.\tCierra.\nWhere is it?\t\u00bfD\u00f3nde?\n")
    asked = ("--data", tmp_path / "pairs.tsv", "--metric", "chrf", "--json")
    (fp32, _), (eager,) = (json.loads(edgewright("eval", model, *asked))["rows"] for model in (bundle, source))
    assert fp32["score"] == eager["score"]
    assert fp32["score"]["n"] == 2


def test_nothing_is_imported_that_only_made_it(bundle):
    made = ("torch", "transformers", "sentencepiece", "onnx")
    words = f"import sys, edgewright; print(edgewright.load({str(bundle)!r})('Lock it.', max_new_tokens=3))"
    words += f"; print([name for name in {made} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_a_sentence_s_time_is_measured(bundle):
    (row,) = json.loads(edgewright("bench", bundle, "--precision", "fp32", "--processes", "1", "--json", "-q"))["rows"]
    assert (row["precision"], row["beams"], row["texts"]) == ("fp32", 2, 4)
    assert row["first_ms"] > row["load_ms"] > 0
    assert row["written"] >= row["texts"]
    assert row["written_per_s"] == pytest.approx(1e3 * row["written"] / (4 * row["text_ms"]), rel=0.9)


def test_a_translator_answers_at_a_socket(bundle, tmp_path):
    """With options for a request; a text that is none costs the others nothing."""
    words = [sys.executable, "-m", "edgewright", "serve", bundle, "--socket", tmp_path / "s", "--precision", "fp32"]
    server = subprocess.Popen([*map(str, words), "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(server.stdout.readline())["rows"][0]["precision"] == "fp32"
        with Client(tmp_path / "s") as client:
            rows = client.rows(["Turn on the lights.", ">>xx<< Lock it.", "", {"text": "x"}], max_new_tokens=6)
            (beam,) = client.rows(["Lock it."], num_beams=0)
            health = client.health()
    finally:
        server.terminate()
        server.communicate()
    with ew.load(bundle, precision="fp32") as translator:
        assert rows[0]["answer"] == translator("Turn on the lights.", max_new_tokens=6)
    assert "has no language >>xx<<" in rows[1]["error"]["message"]
    assert rows[2]["answer"] == [{"translation_text": ""}]
    assert "a dict is no text" in rows[3]["error"]["message"]
    assert "num_beams is 0" in beam["error"]["message"]
    assert (health["status"], health["task"], health["artifact"]) == ("ok", "translation", "onnx/fp32")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (("profile",), "models for translation are not profiled yet"),
        (("race",), "it is not raced yet"),
        (("serve", "--http", "0"), "is for translation, HTTP is for text-generation and feature-extraction"),
    ],
)
def test_what_does_not_take_a_translator_says_so(bundle, asked, shown):
    assert shown in edgewright(asked[0], bundle, *asked[1:], check=2)


def test_an_encoder_that_names_another_file_is_refused(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    path = tmp_path / "b" / "onnx" / "encoder_model.onnx"
    path.write_bytes(path.read_bytes().replace(b"model.onnx.data", b"../secrets.data"))
    with pytest.raises(BundleError, match="has SHA-256"):
        Bundle.open(tmp_path / "b").check_hashes()
    tree = json.loads((tmp_path / "b" / "manifest.json").read_text())
    entry = next(file for file in tree["files"] if file["path"] == "onnx/encoder_model.onnx")
    from edgewright.system.files import sha256

    entry["sha256"] = sha256(path)
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(BundleError, match=r"its tensor .* is in the file '\.\./secrets\.data'"):
        ew.load(tmp_path / "b", precision="fp32", careful=False)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (("--format", "ort"), "encoder-decoders are made for ONNX, TFLite, ExecuTorch and TorchScript alone"),
        (("--format", "executorch", "--precision", "int4"), "encoder-decoders have fp32 and int8 there"),
        (("--precision", "fp16"), "encoder-decoders have fp32, int8 and int4"),
    ],
)
def test_what_is_not_made_is_refused_before_any_work(source, tmp_path, asked, shown):
    assert shown in edgewright("build", source, "--out", tmp_path / "b", *asked, "-q", check=3)


def test_pairs_that_are_not_there_are_told_before_the_eager_model_translates(source, tmp_path):
    (tmp_path / "data.tsv").write_text("source\ttarget\na\tb\n")
    for given in ({"data": "none.tsv"}, {"data": tmp_path / "data.tsv", "shortlist": "none.tsv"}):
        said = []
        with pytest.raises(DataError, match=r"cannot read none\.tsv"):
            ew.build(source, out=tmp_path / "b", progress=said.append, **given)
        assert said == []


def test_an_option_of_the_model_that_is_not_carried_out_is_refused(source, tmp_path):
    shutil.copytree(source, tmp_path / "m")
    path = tmp_path / "m" / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "no_repeat_ngram_size": 3}))
    found = edgewright("build", tmp_path / "m", "--out", tmp_path / "b", "--precision", "fp32", "-q", check=3)
    assert "no_repeat_ngram_size 3" in found


LINES = [
    "Turn on the lights in the kitchen.",
    "  Lock the front door.\r\n\n\u2003Where is it?\u2028x\t",
    "\n >>es<<  Play my playlist.\nLock it.",
    "é 😀 </s> the <unk>",
    "Mr. Lock is in. Where? (There.) 3 p.m. is late… no! Éva A. sings.\u300cOK\u3002\u300d\n  E.g. one. Two",
    "door " * 30 + "x" * 80,
    "",
    " \n",
]
HOW = (
    None,
    {"split": False},
    {"num_beams": 1, "max_new_tokens": 12},
    {"num_beams": 4, "max_new_tokens": 12},
    {"num_beams": 3, "early_stopping": True, "length_penalty": 0},
    {"num_beams": 5, "early_stopping": "never", "length_penalty": 0.6, "max_new_tokens": 40},
)
REFUSED = (
    ("a", {"num_beams": 0}, "num_beams is 0, it must be a whole number from 1 to 64"),
    ("a", {"num_beams": 65}, "num_beams is 65, it must be a whole number from 1 to 64"),
    ("a", {"max_new_tokens": 0}, "max_new_tokens is 0, it must be a whole number from 1"),
    ("a", '{"length_penalty": 1e999}', "length_penalty is 1e999, it must be a number from -10 to 10"),
    ("a", {"early_stopping": "now"}, 'early_stopping is "now", it must be true, false or "never"'),
    ("a", {"split": 1}, "split is 1, it must be true or false"),
    ("a", {"keep_tags": True}, "no setting is called keep_tags"),
    ("a", "[]", "the settings are no JSON object at byte 0"),
    (">>xx<< a", None, "the model has no language >>xx<<"),
)


@pytest.fixture
def assets(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")  # what the engine leaves behind is not looked for
    export_c(bundle, out=tmp_path / "c", precision="fp32")
    return tmp_path / "c" / "assets"


ASKED = [(text, how) for how in HOW for text in LINES]


@pytest.fixture(scope="module")
def python(bundle):
    """Of every line tokens and pieces, what was read and why it ended; with the model's own beams and others."""
    return python_s(bundle, ASKED)


def python_s(bundle, asked):
    found = []
    with ew.load(bundle, precision="fp32", careful=False) as translator:
        for text, how in asked:
            ways = how or {}
            ids = translator.asking(**ways).sources(text)
            written = [translator.write([one], translator.options(**ways))[0].tokens for one in ids]
            longest = max(map(len, written), default=0)
            ended = "length" if longest == ways.get("max_new_tokens", translator.model.context) else "end"
            tokens = [token for tokens in written for token in tokens]
            pieces = [piece for piece in translator.stream(text, **ways) if piece]
            found.append((tokens, pieces, sum(map(len, ids)), ended))
    return found


def answers_of(program, assets, asked):
    found = c_writers.written(program, assets, [text for text, _ in asked], [how for _, how in asked])
    assert not any(mine.code for mine in found)
    return [(mine.tokens, mine.pieces, mine.prompt_tokens, mine.reason) for mine in found]


def asked_of_a_program(program, assets):
    found = answers_of(program, assets, ASKED)
    (stopped,) = c_writers.written(program, assets, ["a\nb\nc"], until=2)
    assert (stopped.code, stopped.reason, len(stopped.pieces)) == (0, "cancelled", 2)
    (closed,) = c_writers.written(program, assets, ["a\nb"], until=-2)
    assert (closed.code, closed.reason, len(closed.pieces)) == (0, "cancelled", 1)
    return found


def test_a_c_program_translates_as_python_does(python, writing_program, assets):
    assert asked_of_a_program(writing_program, assets) == python


def test_the_kotlin_library_translates_as_python_does(bundle, python, tmp_path):
    if why := kotlin_programs.missing():
        pytest.skip(why)
    export_android(bundle, out=tmp_path / "app", precision="fp32")
    kotlin, assets = kotlin_programs.program(tmp_path / "writing", "Writing"), tmp_path / "app" / android._ASSETS
    assert asked_of_a_program(kotlin, assets) == python
    untyped = {"split", "keep_tags", "early_stopping"}  # which Kotlin's types do not let through
    refused = [(text, how) for text, how, _ in REFUSED if not isinstance(how, str) and not untyped & {*(how or ())}]
    found = c_writers.written(kotlin, assets, [text for text, _ in refused], [how for _, how in refused])
    assert all(mine.code for mine in found), found
    assert ">>xx<<" in found[-1].why
    assert c_writers.ran(b"", kotlin, "check", assets).number() == 4


def test_the_swift_package_translates_as_python_does(bundle, python, tmp_path):
    """Beside that, a loop that is left: the next translation waits for it."""
    if why := swift_programs.missing():
        pytest.skip(why)
    export_ios(bundle, out=tmp_path / "app", precision="fp32")
    swift, assets = swift_programs.program(tmp_path / "app"), tmp_path / "app" / ios._ASSETS
    assert answers_of(swift, assets, ASKED) == python
    left, after = c_writers.written(swift, assets, ["a\n" * 2000, LINES[0]], until=2)
    assert (left.code, len(left.pieces), after.pieces) == (0, 2, python[0][1])
    refused = [(text, how, why) for text, how, why in REFUSED if not isinstance(how, str)]
    found = c_writers.written(swift, assets, [text for text, _, _ in refused], [how for _, how, _ in refused])
    assert [(why, mine.why) for (_, _, why), mine in zip(refused, found, strict=True) if why not in mine.why] == []


def answers_of_a_page(found):
    lasts = [(one["last"], one["pieces"]) for one in found]
    return [(last["tokens"], pieces, last["prompt_tokens"], last["reason"]) for last, pieces in lasts]


def test_a_page_translates_as_python_does(bundle, python, tmp_path):
    export_web(bundle, out=tmp_path / "site", precision="fp32", engine=web_pages.engine())
    asked = [["stream", text, how or {}] for text, how in ASKED]
    more = [
        ["run", LINES[0], {"max_new_tokens": 6}],
        ["run", [LINES[0], ""], {"max_new_tokens": 6}],
        ["stream", "a\n" * 2000, {"leave": 2}],
        *(["stream", text, how or {}] for text, how, _ in REFUSED if not isinstance(how, str)),
        ["stream", [{"role": "user", "content": "a"}]],
        ["check"],
    ]
    found = web_pages.asked(tmp_path / "site", *asked, *more)["answers"]
    assert answers_of_a_page(found[: len(asked)]) == python
    one, several, left, *refused, messages, check = found[len(asked) :]
    with ew.load(bundle, precision="fp32", careful=False) as translator:
        assert one == translator(LINES[0], max_new_tokens=6)
        assert several == translator([LINES[0], ""], max_new_tokens=6)
    assert (len(left["pieces"]), left["last"]["reason"]) == (2, "cancelled")
    said = [why for _, how, why in REFUSED if not isinstance(how, str)]
    assert [why for why, mine in zip(said, refused, strict=True) if why not in mine["why"]] == []
    assert messages["why"] == "a model that translates takes a text, no messages"
    assert check == {"cases": 4, "worst": 0}


@pytest.mark.heavy
def test_apps_translate_with_a_t5_as_python_does(writing_program, tmp_path, monkeypatch):
    """It begins with the padding, none of its tokens is banned, and no end is forced where a text is cut."""
    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")  # what the engine leaves behind is not looked for
    translators.saved(tmp_path / "t5", "t5")
    edgewright("build", tmp_path / "t5", "--out", tmp_path / "b", "--precision", "fp32", "--allow-divergence", "-q")
    asked = [
        (text, how) for text in (*LINES[:2], *LINES[3:5]) for how in ({"num_beams": 1, "max_new_tokens": 40}, HOW[3])
    ]
    wanted = python_s(tmp_path / "b", asked)
    export_c(tmp_path / "b", out=tmp_path / "c")
    assert answers_of(writing_program, tmp_path / "c" / "assets", asked) == wanted
    if not kotlin_programs.missing():
        export_android(tmp_path / "b", out=tmp_path / "app")
        kotlin = kotlin_programs.program(tmp_path / "writing", "Writing")
        assert answers_of(kotlin, tmp_path / "app" / android._ASSETS, asked) == wanted
    export_web(tmp_path / "b", out=tmp_path / "site", engine=web_pages.engine())
    found = web_pages.asked(tmp_path / "site", *(["stream", text, how] for text, how in asked), ["check"])["answers"]
    assert answers_of_a_page(found[:-1]) == wanted
    assert found[-1] == {"cases": 4, "worst": 0}


def test_what_a_c_program_cannot_translate_is_told(writing_program, assets):
    asked = [*REFUSED, ("a", None, "")]
    found = c_writers.written(writing_program, assets, [text for text, _, _ in asked], [how for _, how, _ in asked])
    for (text, _, why), mine in zip(asked, found, strict=True):
        assert (bool(mine.code), why in mine.why) == (bool(why), True), (text, mine.why)
    said = (assets / "model.txt").read_text()
    of_one_file = [line for line in said.split("\n") if line.split(" ")[0] not in ("encoder", "cache", "cross")]
    for name, data, why in (
        ("encoder_model.onnx", None, "ONNX Runtime: "),
        ("model.txt", said.replace("encoder encoder_", "encoder no_"), "ONNX Runtime: "),
        ("model.txt", said.replace("start ", "start 9"), "does not say all that is needed"),
        ("model.txt", said.replace("cross past_key_values.0.encoder.key\n", ""), "does not say all that is needed"),
        ("model.txt", said.replace("banned ", "banned x"), "nothing that is known"),
        ("model.txt", "\n".join(of_one_file), "model.txt: it does not say all that is needed"),
        ("model.txt", said.replace("lower 61-7a", "lower 61-7a,7a"), "nothing that is known"),
    ):
        kept = (assets / name).read_bytes()
        (assets / name).unlink() if data is None else (assets / name).write_text(data)
        argv = [writing_program, "write", assets, c_programs.engine()]
        done = subprocess.run(argv, input=b"", capture_output=True, check=False)
        assert (done.returncode, why in done.stderr.decode()) == (1, True), done.stderr
        (assets / name).write_bytes(kept)
