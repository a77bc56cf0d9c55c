"""The model card of a bundle, read by the hub's own library."""

import pytest
from msgspec.structs import replace

from edgewright.builder.model_card import bundle_card
from edgewright.bundle.manifest import GoldenCase, Settings, Source
from edgewright.model.card import SourceCard

CASE = GoldenCase(text="not bad", input_ids=(2, 5, 3), outputs={}, answer=[{"label": "positive", "score": 0.98}])
EVIL = "a: \"b\" # c\n---\n'd' {e}"


def written(manifest, source=SourceCard(), case=CASE, base=None, title="Sentiment"):  # noqa: B008 - frozen
    return bundle_card(manifest, source, case, title=title, base=base).decode()


def front(text):
    """The front matter as the hub's own library reads it."""
    card = pytest.importorskip("huggingface_hub").ModelCard(text, ignore_metadata_errors=False)
    return card.data.to_dict()


@pytest.fixture
def manifest(make_manifest, make_artifact):
    small = make_artifact(path="onnx/model_quantized.onnx", precision="int8")
    source = Source(architecture="BertForSequenceClassification", parameters=1234567, sha256="0" * 64, licence="mit")
    return make_manifest(
        artifacts=(make_artifact(), small, make_artifact(path="a.tflite", format="tflite")), source=source
    )


@pytest.mark.slow
def test_the_front_matter_is_the_hubs(manifest):
    kept = {"language": ("en", "de"), "base_model": ("owner/older",), "license_name": (EVIL,)}
    said = front(written(manifest, SourceCard("mit", kept, "# A model\n"), base="owner/name"))
    assert said["license"] == "mit"
    assert said["language"] == ["en", "de"]
    assert said["license_name"] == EVIL
    assert (said["base_model"], said["base_model_relation"]) == ("owner/name", "quantized")
    assert said["pipeline_tag"] == "text-classification"
    assert said["tags"] == ["edgewright", "onnx", "tflite"]
    assert said["library_name"] == "transformers.js"
    (model,) = said["model-index"]
    assert [one["value"] for one in model["results"][0]["metrics"]] == [90.5] * 3


@pytest.mark.slow
@pytest.mark.parametrize("title", [EVIL.replace("\n", " "), "übung 🎉", "- a", "null"])
def test_any_title_and_label_leaves_it_valid(manifest, title):
    odd = replace(manifest, settings=Settings(max_length=8, labels=(EVIL, "<b>")))
    assert front(written(odd, title=title))["model-index"][0]["name"] == title


def test_it_says_what_is_in_the_bundle_and_what_came_of_the_gates(manifest, make_artifact):
    failed = make_artifact(parity=replace(make_artifact().parity, diverged="cosine 0.5, at least 0.99 is wanted"))
    text = written(replace(manifest, artifacts=(*manifest.artifacts, failed)))
    assert "1,234,567 parameters" in text
    assert "| `onnx/model_quantized.onnx` | onnx | int8 |" in text
    assert "failed: cosine 0.5, at least 0.99 is wanted" in text
    assert "90.50 accuracy, eager 90.50 (n 200, dev.tsv)" in text
    assert "- Licence: mit" in text


def test_python_javascript_and_c(manifest, make_artifact):
    text = written(manifest)
    assert 'answer = model("not bad")' in text
    assert "pipeline('text-classification', 'OWNER/NAME', { dtype: 'q8' })" in text
    assert 'const char *inputs[] = {"input_ids"}, *outputs[] = {"logits"};' in text
    only = replace(manifest, artifacts=(make_artifact(path="a.tflite", format="tflite"),))
    assert "transformers.js" not in written(only)
    assert "OrtApi" not in written(only)
    assert "- tflite: `input_ids` int64[batch, length] → `logits` float32[batch, 2]" in written(only)


def test_the_python_is_python(manifest):
    text = written(
        manifest, case=GoldenCase(text={"text": 'a "b"', "text_pair": "c\n"}, input_ids=(), outputs={}, answer=[])
    )
    compile(text.partition("```python\n")[2].partition("```")[0], "card", "exec")


def test_the_sources_card_goes_along_and_is_cut_where_it_is_long(manifest):
    assert written(manifest, SourceCard(body="\n# A model\n")).endswith("## The source's own card\n\n# A model\n")
    long = written(manifest, SourceCard(body="```\n" + "a line\n" * 9000))
    assert len(long) < 2**14 + 4000
    assert long.endswith("a line\n```\n\n… the rest is in the source's README.md.\n")


def test_the_same_bundle_gives_the_same_bytes(manifest):
    assert written(manifest) == written(replace(manifest))
