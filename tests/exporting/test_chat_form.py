"""Templates as texts around messages: held against Jinja's rendering, or refused."""

import json

import pytest

from edgewright.errors import SourceError, UnsupportedConversion
from edgewright.exporting.c import chat_notes
from edgewright.exporting.chat_form import chat_form
from edgewright.generation.chat_template import ChatTemplate

pytest.importorskip("jinja2")

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('in turn') }}{% endif %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' "
    "+ message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('in turn') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
    "' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}"
    "{{ raise_exception('roles') }}{% endif %}{% endfor %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('in turn') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = "
    "'<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = "
    "message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + "
    "' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)
THINKS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if '</think>' in m.content %}"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SECRET = CHATML.replace("m['content']", "(m['content'] | replace('swordfish', 'x'))")
LAST = "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ '.' if loop.last else ';' }}{% endfor %}>"


def directory(root, source):
    (root / "chat_template.jinja").write_text(source)
    (root / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return root


@pytest.mark.parametrize(
    ("source", "roles", "trims", "in_turns"),
    [
        (CHATML, ["system", "user", "assistant", "tool"], False, False),
        (LLAMA3, ["system", "user", "assistant", "tool"], True, False),
        (GEMMA, ["user", "assistant"], True, True),
        (MISTRAL, ["user", "assistant"], False, True),
    ],
    ids=["chatml", "llama3", "gemma", "mistral"],
)
def test_what_published_templates_do_is_found(source, roles, trims, in_turns, tmp_path):
    form = chat_form(directory(tmp_path, source), ["<s>", "</s>"])
    assert (list(form.around), form.trims, form.in_turns) == (roles, trims, in_turns)
    said = [("user", " why? "), ("assistant", "so"), ("user", "ah <s>\n"), ("assistant", ""), ("user", "é")]
    messages = [{"role": role, "content": words} for role, words in said]
    assert form.render(messages) == ChatTemplate(tmp_path).render(messages)


@pytest.mark.parametrize("source", [THINKS, SECRET, LAST], ids=["thinks", "looks for a word", "looks at the place"])
def test_a_template_that_does_more_is_refused(source, tmp_path):
    with pytest.raises(UnsupportedConversion, match="does more than put texts around messages"):
        chat_form(directory(tmp_path, source))


def test_a_role_that_is_more_than_texts_around_it_is_left_out(tmp_path):
    form = chat_form(directory(tmp_path, LLAMA2))
    assert list(form.around) == ["user", "assistant"]
    assert form.render([{"role": "system", "content": "be"}, {"role": "user", "content": "a"}]) is None


def test_a_template_that_says_the_date_and_one_that_is_none(tmp_path):
    with pytest.raises(UnsupportedConversion, match="says the date"):
        chat_form(directory(tmp_path, CHATML + "{{ strftime_now('%Y') }}"))
    with pytest.raises(SourceError, match="does not parse"):
        chat_form(directory(tmp_path, "{% for %}"))


@pytest.mark.parametrize("lines", ["task text-generation\nchat_refused it says the date\n", "chat_begin it\n"])
def test_an_export_says_why_it_takes_no_messages(lines, tmp_path):
    (tmp_path / "Sources/assets").mkdir(parents=True)
    (tmp_path / "Sources/assets/model.txt").write_text(f"edgewright 1\n{lines}")
    said = ["it takes prompts and no messages: it says the date"]
    assert chat_notes(tmp_path) == (said if "date" in lines else [])
