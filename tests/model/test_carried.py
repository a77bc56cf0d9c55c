"""What goes along when a model is changed."""

from dataclasses import replace

import pytest
from msgspec import structs
from strange_sources import edited, sentence

from edgewright.errors import UnsupportedConversion
from edgewright.model.carried import carry, check_whole
from edgewright.model.source import open_source

pytestmark = pytest.mark.slow  # each source is settled in a child, which takes torch


def names(directory):
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def test_a_model_of_vectors_takes_its_modules_along(source_dir, tmp_path):
    source = open_source(sentence(source_dir, ("Dense", "Normalize"), old=True))
    (tmp_path / "out").mkdir()
    carry(source, tmp_path / "out")
    assert names(tmp_path / "out") == {
        *("tokenizer.json", "tokenizer_config.json", "README.md"),
        *("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
        *("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"),
    }
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_a_classifier_made_of_it_does_not(source_dir, tmp_path):
    source = replace(open_source(sentence(source_dir)), task="text-classification")
    (tmp_path / "out").mkdir()
    carry(source, tmp_path / "out", tokenizer=False)
    assert names(tmp_path / "out") == {"README.md"}


def test_work_on_a_transformer_alone_refuses_what_is_more(source_dir):
    source = open_source(sentence(source_dir, ("Dense",)))
    with pytest.raises(UnsupportedConversion, match="has modules behind its pooling: training works on a transformer"):
        check_whole(source, "training")
    plain = replace(source, settings=structs.replace(source.settings, pooling="cls"))
    check_whole(plain, "training")


def test_a_named_prompt_can_be_chosen(source_dir):
    own = {"prompts": {"query": "q: ", "passage": "p: "}, "default_prompt_name": "query"}
    source = open_source(sentence(source_dir, own=own))
    assert source.settings.prompts == {"query": "q: ", "passage": "p: "}
    edited(source_dir / "config_sentence_transformers.json", default_prompt_name=None)
    assert open_source(source_dir).settings.prompt == ""
