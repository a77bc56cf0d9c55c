"""What a file for LiteRT-LM says of a model; the file itself is in tests/e2e, and LiteRT-LM in tools/check_litertlm."""

import json

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, processors

from edgewright.errors import UnsupportedConversion
from edgewright.exporting.litertlm import _chat, export_litertlm
from edgewright.text.tokenizer import Tokenizer


@pytest.fixture
def made(tmp_path):
    """A tokenizer's directory, by what it puts around a text, and by its template."""

    def make(single="$A", template=None):
        backend = Backend(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
        backend.add_special_tokens(["<s>", "</s>"])
        named = [(name, backend.token_to_id(name)) for name in ("<s>", "</s>")]
        backend.post_processor = processors.TemplateProcessing(single=single, special_tokens=named)
        backend.save(str(tmp_path / "tokenizer.json"))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
        if template:
            (tmp_path / "chat_template.jinja").write_text(template)
        return tmp_path, Tokenizer(tmp_path, 64), backend.token_to_id("<s>")

    return make


def rendered(template, words):
    """As LiteRT-LM renders it: contents are lists of parts, and no token has a name."""
    from jinja2 import Environment

    messages = [{"role": "user", "content": [{"type": "text", "text": one} for one in words]}]
    return Environment().from_string(template).render(messages=messages)  # noqa: S701 - no page


def test_a_text_begins_with_the_token_that_the_tokenizer_puts_there(made):
    assert _chat(*made()[:2]) == ("", None)
    *given, begin = made("<s> $A")
    assert _chat(*given) == ("", begin)
    with pytest.raises(UnsupportedConversion, match="one token before a text, and none behind it"):
        _chat(*made("<s> $A </s>")[:2])


def test_a_template_renders_parts_and_its_own_tokens(made):
    *given, begin = made(template="{{ bos_token }}{% for m in messages %}[{{ m.content + eos_token }}]{% endfor %}")
    template, start = _chat(*given)
    assert (rendered(template, ["a ", "fox"]), start) == ("[a fox</s>]", begin)


def test_a_template_that_spells_its_first_token_out_has_it_once(made):
    """Whatever the tokenizer does: a chat's tokens are those of the template."""
    template, start = _chat(*made("<s> $A", template="<s>{% for m in messages %}[{{ m.content }}]{% endfor %}")[:2])
    assert (rendered(template, ["a fox"]), start) == ("<s>[a fox]", None)


def test_a_model_that_does_not_write_is_refused(bundle_dir, tmp_path):
    with pytest.raises(UnsupportedConversion, match="runs models that write, this one is for text-classification"):
        export_litertlm(bundle_dir, out=tmp_path / "m.litertlm")
