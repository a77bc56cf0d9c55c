"""What converters of translators get wrong, each as a test: logits beside transformers', token for token."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import translators

from edgewright.errors import SourceError, TokenizerError, UnsupportedConversion, UsageError
from edgewright.generation.beams import Search, write
from edgewright.generation.shortlist import Shortlist

pytestmark = pytest.mark.slow


FORMATS = ("onnx", "torchscript")


@pytest.fixture(scope="module", params=[(made_as, kind) for made_as in FORMATS for kind in translators.KINDS])
def opened(request, tmp_path_factory):
    made_as, kind = request.param
    found = translators.opened(tmp_path_factory.mktemp(kind), kind, count=12, made_as=made_as)
    found.kind, found.made_as = kind, made_as
    return found


def eager_logits(opened, source, target):
    import torch

    with torch.inference_mode():
        given = torch.tensor([target])
        found = opened.eager(input_ids=torch.tensor([source]), decoder_input_ids=given)
    return found.logits[0].numpy()


def target_of(opened, length):
    rng = np.random.default_rng(3)
    return [opened.rules.start, *rng.integers(3, opened.model.vocabulary, length - 1).tolist()]


def steps(model, source, target, *, beside=()):
    model.begin([source, *beside])
    return np.array([model.step([token] * (1 + len(beside)))[0].copy() for token in target])


@pytest.mark.parametrize("length", [1, 33, 64])
def test_logits_are_the_eager_model_s_to_the_last_position(opened, length):
    """Of the start too, whose embedding is zero in Marian; with the bias of the logits and the scale of the head."""
    source = (opened.sources[1] * 9)[: length - 1] + opened.sources[0][-1:]
    target = target_of(opened, length)
    wanted = eager_logits(opened, source, target)
    assert np.abs(steps(opened.model, source, target) - wanted).max() < 1e-4 * wanted.std()


def test_a_source_beside_a_longer_one_is_read_as_it_is_alone(opened):
    short, long = min(opened.sources, key=len), max(opened.sources, key=len)
    target = target_of(opened, 6)
    alone = steps(opened.model, short, target)
    assert np.abs(steps(opened.model, short, target, beside=[long]) - alone).max() < 1e-5 * alone.std()


def test_beams_share_a_source_and_go_on_from_each_other(opened):
    """Forty steps: a source ends, the caches grow after that, and what a row has written moves with it."""
    source, target = opened.sources[2], target_of(opened, 40)
    wanted = steps(opened.model, source, target)
    model, at = opened.model, 0
    model.begin([source, *opened.sources[3:5]], beams=3)
    rng = np.random.default_rng(0)
    for number, token in enumerate(target):
        tokens = rng.integers(3, model.vocabulary, model.rows)
        tokens[at] = token
        logits = model.step(tokens)[at].copy()
        then = int(rng.integers(3))
        rows = np.array([*rng.integers(0, 3, 3), *np.arange(3, model.rows).reshape(-1, 3)[:, [0, 2, 1]].ravel()])
        rows[then], at = at, then
        model.reorder(rows)
        assert number != 5 or model.keep(np.array([0, 2]))
        assert np.abs(logits - wanted[number]).max() < 1e-4 * wanted.std(), number


def test_texts_go_on_after_others_have_ended(opened):
    """Twice, and over a growth of the caches: what is left says what it says alone."""
    model, target, left = opened.model, target_of(opened, 40), np.arange(6)
    wanted = [steps(model, source, target) for source in opened.sources[:6]]
    model.begin(opened.sources[:6])
    for at, token in enumerate(target):
        kept = {5: [0, 2, 3, 5], 9: [1, 3]}.get(at)
        if kept and model.keep(np.array(kept)):
            left = left[kept]
        for row, source in zip(model.step([token] * model.rows), left, strict=True):
            assert np.abs(row - wanted[source][at]).max() < 1e-4 * wanted[source].std(), (at, source)


def test_tokens_are_those_of_transformers(opened):
    """ONNX Runtime's are held to sixty texts and other searches in tests/generation/test_beams.py."""
    for beams in (1, 4):
        wanted = translators.generated(opened.eager, opened.sources, max_new_tokens=20, num_beams=beams)
        search = Search(num_beams=beams, max_new_tokens=20)
        found = [write(opened.model, [source], search, opened.rules)[0].tokens for source in opened.sources]
        assert [list(tokens) for tokens in found] == wanted.tokens
        together = write(opened.model, opened.sources, search, opened.rules)
        assert [one.tokens for one in together] == found


def test_the_first_look_at_an_artifact_runs_it(opened, monkeypatch):
    """With caches and all that a step reads, where one session holds the whole model: an engine may die of a run."""
    from edgewright.inference import first_look
    from edgewright.inference.engines import engine_for

    path = next(one for one in opened.home.parent.iterdir() if one.name in ("x.onnx", "x.ptl"))
    engine, seen = engine_for(opened.made_as), []
    opener = type(engine).open_encoder_decoder

    def watched(self, *args, **options):
        seen.append(opener(self, *args, **options))
        return seen[-1]

    monkeypatch.setattr(type(engine), "open_encoder_decoder", watched)
    first_look.look_in_child(first_look.LookRequest(engine.engine, path, "sources", 16), print)
    (model,) = seen
    assert np.isfinite(model.step([1])).all(), "it has begun, and goes on"


def test_no_norm_is_made_a_scalar_one(opened, tmp_path):
    """ONNX Runtime makes an Add and a norm behind it one SkipLayerNormalization, which takes several times as long."""
    import onnx
    import onnxruntime

    for name in ("x.onnx", "encoder_x.onnx"):
        path, options = opened.home.parent / name, onnxruntime.SessionOptions()
        if path.exists():
            options.optimized_model_filepath, options.log_severity_level = str(tmp_path / name), 3
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            made = onnx.load(tmp_path / name, load_external_data=False)
            kinds = {node.op_type for node in made.graph.node}
            assert kinds & {"LayerNormalization", "SimplifiedLayerNormalization"}
            assert "SkipLayerNormalization" not in kinds


@pytest.mark.parametrize("kind", translators.KINDS)
def test_a_step_that_gives_out_what_it_adds_is_the_eager_model_s(kind):
    """What TFLite's and ExecuTorch's files are exported from: a source alone, four rows, slots with odd numbers."""
    import torch

    from edgewright.converters._translator.families import read
    from edgewright.converters._translator.step import StepModule

    eager = translators.model(kind, 180)
    module, source = StepModule(read(eager, 64)), torch.tensor([[9, 40, 77, 5, 31, 1]])
    rng = torch.Generator().manual_seed(0)
    targets = torch.randint(3, 170, (4, 12), generator=rng)
    with torch.inference_mode():
        wanted = eager(input_ids=source.repeat(4, 1), decoder_input_ids=targets).logits
        nothing = torch.zeros(1, 1, 1, 1)
        cross = module.parts(source, nothing)
        past = [torch.full((4, part.size(1), 16, part.size(3)), 9.0) for part in cross]
        for at in range(12):
            logits, new = module.step(targets[:, at : at + 1], torch.tensor([at]), nothing, cross, past)
            assert (logits - wanted[:, at]).abs().max() < 1e-4 * wanted.std(), at
            for array, part in zip(past, new, strict=True):
                array[:, :, at] = part


@pytest.fixture(scope="module", params=translators.KINDS)
def narrow(request, tmp_path_factory):
    return translators.opened(tmp_path_factory.mktemp("narrow"), request.param, count=12, shortlist=True)


def table_of(vocabulary):
    """By chance, with four tokens for each."""
    rng = np.random.default_rng(5)
    tokens = rng.integers(3, vocabulary, 4 * vocabulary).astype(np.int32)
    return Shortlist(np.arange(0, 4 * vocabulary + 1, 4, dtype=np.int32), tokens, np.arange(9, 30, dtype=np.int32))


def test_held_to_a_shortlist_tokens_are_those_of_transformers_that_is_held_to_it(narrow):
    """Which sums up probabilities again over what it may choose from; alone, and beside texts with other tokens."""
    table = table_of(narrow.model.vocabulary)
    for beams in (1, 4):
        wanted = []
        for source in narrow.sources:
            allowed = table.of(source, narrow.rules).tolist()
            how = {"prefix_allowed_tokens_fn": lambda *_, kept=allowed: kept, "renormalize_logits": True}
            wanted += translators.generated(narrow.eager, [source], max_new_tokens=20, num_beams=beams, **how).tokens
        search = Search(num_beams=beams, max_new_tokens=20)
        found = [write(narrow.model, [one], search, narrow.rules, shortlist=table)[0].tokens for one in narrow.sources]
        assert [list(tokens) for tokens in found] == wanted
        together = write(narrow.model, narrow.sources, search, narrow.rules, shortlist=table)
        assert [one.tokens for one in together] == found


def test_held_to_none_it_is_the_whole_model(narrow):
    """Before and after sentences that are held to some, whose caches are other ones."""
    source, target = narrow.sources[1], target_of(narrow, 9)
    wanted = eager_logits(narrow, source, target)
    kept = np.array([1, 4, 9, narrow.model.vocabulary - 1])
    for _ in range(2):
        narrow.model.begin([source], candidates=kept)
        part = np.array([narrow.model.step([token])[0].copy() for token in target])
        assert np.abs(part - wanted[:, kept]).max() < 1e-4 * wanted.std()
        assert np.abs(steps(narrow.model, source, target) - wanted).max() < 1e-4 * wanted.std()


SHALLOW = {"encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 16}
"""Each layer, and each length of TFLite's, is a second of a build."""


@pytest.mark.heavy
@pytest.mark.parametrize("made_as", ["tflite", "executorch"])
def test_a_source_at_a_time_is_written_after_as_transformers_does(made_as, tmp_path, monkeypatch, request):
    """`tools/translation_formats.py` holds sixty texts of every kind; here a Marian of one layer."""
    monkeypatch.setattr("edgewright.converters._tflite.translator._SLOTS", 8)  # so that a step's buckets are two
    opened = translators.opened(tmp_path, "marian", count=12, made_as=made_as, room=16, **SHALLOW)
    opened.sources = [[*source[:-1][:15], source[-1]] for source in opened.sources]
    for beams in (1, 4, 6):
        wanted = translators.generated(opened.eager, opened.sources, max_new_tokens=12, num_beams=beams)
        search = Search(num_beams=beams, max_new_tokens=12)
        found = [write(opened.model, [source], search, opened.rules)[0].tokens for source in opened.sources]
        assert [list(tokens) for tokens in found] == wanted.tokens
        assert [one.tokens for one in write(opened.model, opened.sources, search, opened.rules)] == found
    with pytest.raises(UsageError, match="17 tokens"):
        opened.model.begin([[5] * 17])
    if made_as == "tflite":
        bundle = bundle_of(opened, tmp_path / "x.tflite", request.getfixturevalue("make_manifest"))
        a_c_program_writes_the_same(opened, bundle, request.getfixturevalue("writing_program"), monkeypatch)


def bundle_of(opened, path, make_manifest):
    """What `export_c` reads of a bundle."""
    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact, Parity, Settings

    parity = Parity(texts=1, max_abs=0, mean_abs=0, sqnr_db=100, cosine=1, top1=1, worst_case="")
    artifact = Artifact(
        path=path.name,
        format="tflite",
        precision="fp32",
        size_bytes=path.stat().st_size,
        sha256="",
        inputs=opened.model.inputs,
        outputs=opened.model.outputs,
        parity=parity,
    )
    settings = Settings(max_length=opened.model.context)
    return Bundle(opened.home, make_manifest(task="translation", settings=settings, artifacts=(artifact,)))


def a_c_program_writes_the_same(opened, bundle, program, monkeypatch):
    """Built with gcc's sanitizers; with six beams there are two groups, one of them half empty."""
    import shutil
    import sys
    from pathlib import Path

    from tokenizers import Tokenizer

    from edgewright.exporting import c
    from edgewright.exporting.tokenizer_file import tokenizer_file

    sys.path.insert(0, str(Path(__file__).parents[1] / "exporting"))
    import c_writers

    monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")  # what the engine leaves behind is not looked for
    (artifact,), assets = bundle.manifest.artifacts, opened.home / "assets"
    c._check(bundle.manifest, artifact, ("onnx", "tflite"))
    assets.mkdir()
    shutil.copyfile(opened.home.parent / artifact.path, assets / artifact.path)
    (assets / "tokenizer.bin").write_bytes(tokenizer_file((opened.home / "tokenizer.json").read_bytes()))
    (assets / "model.txt").write_text(c._settings(bundle, artifact))
    texts = [" ".join(text.split()[:2]) for text in translators.TEXT]
    tokens = Tokenizer.from_file(str(opened.home / "tokenizer.json"))
    sources = [tokens.encode(text).ids for text in texts]
    assert max(map(len, sources)) <= opened.model.context
    for beams in (1, 4, 6):
        search = Search(num_beams=beams, max_new_tokens=12)
        wanted = [write(opened.model, [source], search, opened.rules)[0].tokens for source in sources]
        asked = {"num_beams": beams, "max_new_tokens": 12, "split": False}
        found = c_writers.written(program, assets, texts, asked)
        assert [(one.why, one.tokens) for one in found] == [("", list(tokens)) for tokens in wanted]
    said = (assets / "model.txt").read_text()
    for before, after, why in (
        ("max_length 16", "max_length 17", "has room for 16, model.txt says 180 and 17"),
        ("vocabulary 180", "vocabulary 181", "chooses from 180 tokens"),
        ("places 0", "encoder x.tflite\nplaces 0\ncache float32 1 8 a.decoder.b\ncross c", "it tells of two graphs"),
    ):
        assert before in said
        (assets / "model.txt").write_text(said.replace(before, after))
        with pytest.raises(AssertionError, match=why):
            c_writers.written(program, assets, texts[:1])


def test_the_eager_model_has_the_tables_of_its_file(opened):
    """A head of its own stays one, and what is tied is one: transformers has tied and untied in silence."""
    from safetensors.numpy import load_file

    stored = load_file(opened.home / "model.safetensors")
    head = opened.eager.get_output_embeddings().weight.detach().numpy()
    tied = opened.kind != "t5-v1.1"
    assert ("lm_head.weight" in stored) is not tied
    table = stored["model.shared.weight" if opened.kind == "marian" else "shared.weight"]
    assert np.array_equal(head, table if tied else stored["lm_head.weight"])


@pytest.mark.parametrize(("made_as", "precision"), [("onnx", "int8"), ("onnx", "int4"), ("torchscript", "int8")])
@pytest.mark.parametrize("kind", translators.KINDS)
def test_fewer_bits_stay_near_and_lie_once(kind, made_as, precision, tmp_path):
    opened = translators.opened(tmp_path, kind, count=3, precision=precision, made_as=made_as)
    source, target = opened.sources[0], target_of(opened, 12)
    wanted = eager_logits(opened, source, target)
    noise = steps(opened.model, source, target) - wanted
    assert 20 * np.log10(wanted.std() / noise.std()) > (20 if precision == "int8" else 5)
    pages = 4096 * 60 if made_as == "onnx" else CODE
    assert stored(tmp_path) < opened.eager.num_parameters() * 4 / 2 + pages, "pages of tiny weights, and no table twice"


@pytest.mark.parametrize("byte_dots", [True, False])
@pytest.mark.parametrize("kind", translators.KINDS)
def test_a_shortlist_reads_the_table_of_fewer_bits(kind, byte_dots, tmp_path):
    """The logits of candidates are those of the whole head, but for the rounding of the state that it reads."""
    opened = translators.opened(tmp_path, kind, precision="int8", byte_dots=byte_dots, shortlist=True)
    source, target = opened.sources[0], target_of(opened, 12)
    kept = np.arange(5, opened.model.vocabulary, 7)
    whole = steps(opened.model, source, target)[:, kept]
    opened.model.begin([source], candidates=kept)
    noise = np.array([opened.model.step([token])[0].copy() for token in target]) - whole
    assert 20 * np.log10(whole.std() / noise.std()) > (30 if byte_dots else 60)


@pytest.mark.parametrize("kind", translators.KINDS)
def test_eight_bits_for_a_processor_without_dot_products_of_bytes(kind, tmp_path):
    """Encoder and decoder have states of the same names, of which each graph rounds its own."""
    opened = translators.opened(tmp_path, kind, count=3, precision="int8", byte_dots=False)
    source, target = opened.sources[0], target_of(opened, 12)
    wanted = eager_logits(opened, source, target)
    noise = steps(opened.model, source, target) - wanted
    assert 20 * np.log10(wanted.std() / noise.std()) > 20


def test_weights_lie_once_in_fp32(opened):
    pages = 4096 * 40 if opened.made_as == "onnx" else CODE
    assert stored(opened.home.parent) < opened.eager.num_parameters() * 4 + pages


CODE = 130_000
"""Bytes of two methods' bytecode, beside weights of a tenth of that."""


def stored(directory):
    """Bytes of an artifact's weights."""
    return next(path for path in (directory / "x.onnx.data", directory / "x.ptl") if path.exists()).stat().st_size


def source_of(directory):
    from edgewright.bundle.manifest import Settings
    from edgewright.model.source import SourceJob

    return SourceJob(directory, "translation", Settings(max_length=64), 10)


@pytest.mark.parametrize("lost", ["lm_head.weight", "shared.weight"])
def test_a_table_that_would_stand_for_a_lost_one_is_refused(lost, tmp_path):
    from safetensors.numpy import load_file, save_file

    from edgewright.converters._model.eager import load

    translators.saved(tmp_path, "t5-v1.1")
    stored = load_file(tmp_path / "model.safetensors")
    stored.pop(lost)
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match="one table for embedding and head"):
        load(source_of(tmp_path))


def test_weights_without_a_place_are_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    from edgewright.converters._model.eager import load

    translators.saved(tmp_path, "marian")
    stored = load_file(tmp_path / "model.safetensors")
    save_file({**stored, "odd.weight": np.zeros(2, np.float32)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(SourceError, match=r"no place for: odd\.weight"):
        load(source_of(tmp_path))


def test_another_family_is_refused_by_name():
    from edgewright.converters._translator.families import read

    with pytest.raises(UnsupportedConversion, match="family 'bart' are not converted"):
        read(SimpleNamespace(config=SimpleNamespace(model_type="bart")), 8)


@pytest.fixture(scope="module")
def spm(tmp_path_factory):
    """A Marian tokenizer as OPUS-MT has it: two sentencepiece models, and one vocabulary of both."""
    return translators.marian_tokenizer(tmp_path_factory.mktemp("marian"))


def test_marian_s_tokens_are_transformers_own(spm, tmp_path):
    from transformers import MarianTokenizer

    from edgewright.converters._model.marian import marian_json
    from edgewright.text.tokenizer import Tokenizer

    theirs = MarianTokenizer.from_pretrained(spm)
    (tmp_path / "tokenizer.json").write_text(marian_json(theirs))
    ours = Tokenizer(tmp_path, 64)
    texts = [
        *translators.TEXT[:5],
        "",
        "  two  spaces ",
        "22 \u00bd \u2163 \ufb01ne",
        "\u65e5\u672c",
        "tab\there",
        "Where!",
    ]
    for text in texts:
        assert ours.ids(text) == theirs(text)["input_ids"], text
    vocabulary = json.loads((spm / "vocab.json").read_text())
    assert any(name.startswith("\ue000") for name in ours.vocabulary), "no piece that the source's model lacks"
    rng = np.random.default_rng(0)
    for _ in range(50):
        ids = rng.integers(2, len(vocabulary) - 1, 12).tolist()
        assert ours.decode([*ids, 0]).strip() == theirs.decode([*ids, 0], skip_special_tokens=True).strip()


def test_a_marian_tokenizer_of_another_kind_is_refused_by_name(tmp_path):
    from transformers import MarianTokenizer

    from edgewright.converters._model.marian import marian_json

    home = translators.marian_tokenizer(tmp_path, model_type="bpe")
    with pytest.raises(TokenizerError, match="sentencepiece model of type 2, and no Unigram"):
        marian_json(MarianTokenizer.from_pretrained(home))
