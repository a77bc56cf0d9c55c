import json
import shutil
import sys
from contextlib import suppress

import pytest
from packages import need

from edgewright.bundle.manifest import Settings
from edgewright.errors import SourceError, TokenizerError, UnsupportedConversion, UsageError
from edgewright.model.source import EAGER, SourceJob, open_source

pytestmark = pytest.mark.slow  # each source is settled in a child, which takes torch


def configure(directory, file="config.json", *, drop=(), **fields):
    """Change fields of a JSON file, which need not be there."""
    path = directory / file
    path.parent.mkdir(exist_ok=True)
    tree = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**{k: v for k, v in tree.items() if k not in drop}, **fields}))


def refused(directory, kind=SourceError, **options):
    with pytest.raises(kind) as caught:
        open_source(directory, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opened(directory, **options):
    return open_source(directory, **options).settings


def test_a_complete_directory_is_read(source_dir):
    source = open_source(str(source_dir))
    assert (source.task, source.architecture) == ("text-classification", "BertForSequenceClassification")
    assert source.settings.labels == ("negative", "positive")
    assert (source.settings.max_length, source.settings.problem) == (64, "single_label")
    assert source.tokenizer().encode(["good " * 100]).lengths.tolist() == [64]
    assert source.licence() == "apache-2.0"
    assert source.job().settings.labels == source.settings.labels


def test_the_tokenizer_is_read_once_for_all_children(source_dir):
    source = open_source(source_dir)
    largest = source.job().largest_id
    assert largest == source.tokenizer().largest_id > 0
    (source_dir / "tokenizer.json").unlink()
    assert source.job().largest_id == largest


def test_what_a_model_of_vectors_is_asked_of_is_imported_once_for_all_children(tmp_path, monkeypatch):
    need("sentence_transformers")
    given = {"directory": tmp_path, "settings": Settings(max_length=64), "largest_id": 1}
    of_vectors = SourceJob(task="feature-extraction", origin=tmp_path, **given)
    assert of_vectors.preload == EAGER
    (tmp_path / "modules.json").write_text("[]")
    assert of_vectors.preload == (*EAGER, "sentence_transformers")
    assert SourceJob(task="fill-mask", origin=tmp_path, **given).preload == EAGER
    monkeypatch.chdir(tmp_path)
    assert SourceJob(task="feature-extraction", exported=tmp_path / "x.pt2", **given).preload == EAGER


def test_reading_does_not_import_torch(source_dir):
    before = "torch" in sys.modules
    open_source(source_dir)
    assert ("torch" in sys.modules) == before


def test_the_hash_depends_on_every_file_that_counts(source_dir):
    before = open_source(source_dir).sha256()
    assert open_source(source_dir).sha256() == before
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        data = (source_dir / name).read_bytes()
        changed = data[:-1] + bytes([data[-1] ^ 1]) if name.endswith("safetensors") else data + b"\n"
        (source_dir / name).write_bytes(changed)
        assert open_source(source_dir).sha256() != before
        (source_dir / name).write_bytes(data)
    (source_dir / "README.md").write_text("other words")
    assert open_source(source_dir).sha256() == before


# what is missing or of the wrong kind


def test_a_missing_directory(tmp_path):
    assert "gone does not exist; give a model directory or a hub id" in refused(tmp_path / "gone")
    assert "does not exist" in refused(str(tmp_path / "gone"))


def test_an_empty_directory(tmp_path):
    assert f"{tmp_path} is empty; save a model there" in refused(tmp_path)


def test_a_file_instead_of_a_directory(source_dir):
    path = source_dir / "model.safetensors"
    assert f"{path} is a file; give the directory" in refused(path)


@pytest.mark.parametrize("name", ["", "a b/c", "no-such-model-here", "a/b/c", "-x/y", "../up", "a/b\n"])
def test_what_cannot_be_a_hub_id_never_reaches_the_network(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError):
        open_source(name)


def test_no_configuration(source_dir):
    (source_dir / "config.json").unlink()
    assert "has no config.json" in refused(source_dir)


@pytest.mark.parametrize("text", [b"", b"{", b"not json", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_configuration_that_is_not_json(source_dir, text):
    (source_dir / "config.json").write_bytes(text)
    assert "config.json cannot be read" in refused(source_dir)


@pytest.mark.parametrize("text", ["null", "[]", "5", "{}", '{"architectures": ["BertModel"]}'])
def test_a_configuration_of_no_model(source_dir, text):
    (source_dir / "config.json").write_text(text)
    assert "is it a Hugging Face model" in refused(source_dir)


def test_no_weights(source_dir):
    (source_dir / "model.safetensors").unlink()
    assert "has no weights; expected one of model.safetensors, " in refused(source_dir)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:0],
        lambda data: data[:4],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"garbage!" + data[16:],
        lambda data: b"GGUF" + data[4:],
    ],
)
def test_corrupt_weights(source_dir, spoil):
    path = source_dir / "model.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    assert "model.safetensors is corrupt: " in refused(source_dir)


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "1_Pooling/model.safetensors"])
def test_a_pointer_of_git_lfs_is_named(source_dir, name):
    (source_dir / name).parent.mkdir(exist_ok=True)
    (source_dir / name).write_text(POINTER)
    assert f"{name} is a pointer of git-lfs; git has not fetched the file: git lfs pull" in refused(source_dir)


def test_one_corrupt_shard(source_dir):
    (source_dir / "model-00002-of-00002.safetensors").write_bytes(b"\0" * 100)
    assert "model-00002-of-00002.safetensors is corrupt" in refused(source_dir)


def test_no_tokenizer(source_dir):
    (source_dir / "tokenizer.json").unlink()
    assert "no tokenizer.json in" in refused(source_dir, TokenizerError)


def test_a_broken_tokenizer(source_dir):
    (source_dir / "tokenizer.json").write_text("null")
    assert "tokenizer.json does not load" in refused(source_dir, TokenizerError)


def test_token_ids_past_the_embedding(source_dir):
    rows = json.loads((source_dir / "config.json").read_text())["vocab_size"]
    configure(source_dir, vocab_size=rows - 1)
    words = refused(source_dir)
    assert f"token id {rows - 1}, the embedding has {rows - 1} rows; the tokenizer belongs to another model" in words
    configure(source_dir, vocab_size=rows)
    open_source(source_dir)


# task and labels


@pytest.mark.parametrize("architectures", [["Magic"], [], None])
def test_an_architecture_of_no_task(source_dir, architectures):
    configure(source_dir, architectures=architectures)
    words = refused(source_dir, UnsupportedConversion)
    assert "belongs to no known task; name one with --task: feature-extraction, " in words


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "LlamaForCausalLM"])
def test_a_decoder_is_a_model_of_a_task_unless_another_is_named(source_dir, architecture):
    configure(source_dir, architectures=[architecture])
    assert open_source(source_dir).task == "text-generation"
    assert open_source(source_dir, task="feature-extraction").task == "feature-extraction"


@pytest.mark.parametrize("architecture", ["T5ForConditionalGeneration", "MarianMTModel"])
def test_a_model_that_writes_says_what_it_is_unless_a_task_is_named(source_dir, architecture):
    configure(source_dir, architectures=[architecture])
    assert f"is a Hugging Face model, {architecture}" in refused(source_dir)
    assert open_source(source_dir, task="feature-extraction").task == "feature-extraction"


@pytest.mark.parametrize(
    ("architecture", "task"),
    [("BertModel", "feature-extraction"), ("DistilBertForSequenceClassification", "text-classification")],
)
def test_the_architecture_tells_the_task(source_dir, architecture, task):
    configure(source_dir, architectures=[architecture])
    assert open_source(source_dir).task == task


def test_a_named_task_wins(source_dir):
    assert open_source(source_dir, task="feature-extraction").task == "feature-extraction"


def test_an_unknown_task_lists_the_tasks(source_dir):
    words = refused(source_dir, UsageError, task="sentiment")
    assert "unknown task 'sentiment'; choose from feature-extraction, " in words


@pytest.mark.parametrize(
    ("names", "shown"),
    [({"0": "a", "2": "b"}, "[0, 2]"), ({"1": "a", "2": "b"}, "[1, 2]"), ({"-1": "a", "0": "b"}, "[-1, 0]")],
)
def test_gaps_in_the_labels(source_dir, names, shown):
    configure(source_dir, id2label=names)
    assert f"id2label in config.json has the ids {shown}, expected 0..1" in refused(source_dir)


@pytest.mark.parametrize("names", [{"zero": "a"}, ["a", "b"], "ab"])
def test_labels_whose_keys_are_no_numbers(source_dir, names):
    configure(source_dir, id2label=names)
    assert "config.json cannot be read" in refused(source_dir)


def test_labels_stand_in_the_order_of_their_numbers(source_dir):
    configure(source_dir, id2label={str(i): f"l{i}" for i in reversed(range(12))})
    assert opened(source_dir).labels == tuple(f"l{i}" for i in range(12))


def test_labels_without_names_are_numbered(source_dir):
    configure(source_dir, drop=["id2label"])
    assert opened(source_dir).labels == ("LABEL_0", "LABEL_1")
    configure(source_dir, num_labels=3)
    assert opened(source_dir).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    ("problem", "names", "found"),
    [
        (None, {"0": "a"}, "regression"),
        (None, {"0": "a", "1": "b"}, "single_label"),
        ("regression", {"0": "a", "1": "b"}, "regression"),
        ("multi_label_classification", {"0": "a", "1": "b"}, "multi_label"),
        ("multi_label_classification", {"0": "a"}, "multi_label"),
    ],
)
def test_the_kind_of_classification(source_dir, problem, names, found):
    configure(source_dir, problem_type=problem, id2label=names)
    assert opened(source_dir).problem == found


# length


@pytest.mark.parametrize(
    ("positions", "tokenizer", "sentences", "length"),
    [
        (512, 128, None, 128),
        (128, 512, None, 128),
        (512, 10**30, None, 512),
        (512, 512, 256, 256),
        (512, 128, 256, 256),
        (512, 128, 10**9, 512),
        (None, 200, None, 200),
        (512, 0, None, 512),
    ],
)
def test_the_cut_is_that_of_the_sources_own_library(source_dir, positions, tokenizer, sentences, length):
    configure(
        source_dir, drop=["max_position_embeddings"], **({"max_position_embeddings": positions} if positions else {})
    )
    configure(source_dir, "tokenizer_config.json", model_max_length=tokenizer)
    if sentences is not None:
        pooled(source_dir, ["Transformer", "Pooling"])
        configure(source_dir, "sentence_bert_config.json", max_seq_length=sentences)
    assert opened(source_dir, task="feature-extraction").max_length == length


def test_what_lies_beside_a_model_without_modules_is_not_read_as_its_library_does_not(source_dir):
    configure(source_dir, "sentence_bert_config.json", max_seq_length=8)
    assert opened(source_dir).max_length == 64


@pytest.mark.parametrize("length", ["128", [3], {"a": 1}])
def test_a_length_that_is_no_number_is_one_line(source_dir, length):
    configure(source_dir, "tokenizer_config.json", model_max_length=length)
    assert "cannot be read as transformers reads it" in refused(source_dir)


@pytest.mark.parametrize("length", [0, -1, "64", 6.5])
def test_a_length_of_sentences_that_is_no_number_is_one_line(source_dir, length):
    pooled(source_dir, ["Transformer", "Pooling"])
    configure(source_dir, "sentence_bert_config.json", max_seq_length=length)
    assert f"is {length!r}, a number from 1 is wanted" in refused(source_dir)


@pytest.mark.parametrize(
    ("kind", "pad", "length"),
    [
        *(("roberta", 1, 512), ("xlm-roberta", 1, 512), ("camembert", 0, 513), ("mpnet", 1, 512), ("bert", 1, 514)),
        *(("data2vec-text", 1, 512), ("roberta-prelayernorm", 1, 512), ("xmod", 1, 512), ("esm", 1, 512)),
    ],
)
def test_some_models_count_positions_from_the_padding_id(source_dir, kind, pad, length):
    configure(source_dir, model_type=kind, max_position_embeddings=514, pad_token_id=pad)
    configure(source_dir, "tokenizer_config.json", model_max_length=10**30)
    assert opened(source_dir).max_length == length


@pytest.mark.parametrize("name", ["tokenizer_config.json", "sentence_bert_config.json"])
def test_a_broken_file_beside_the_configuration(source_dir, name):
    pooled(source_dir, ["Transformer", "Pooling"])
    (source_dir / name).write_text("{")
    assert f"{name} cannot be read" in refused(source_dir)


# pooling


def pooled(directory, kinds, **modes):
    modules = [
        {"idx": i, "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    configure(directory, "1_Pooling/config.json", word_embedding_dimension=32, **modes)


def test_pooling_is_the_mean_where_nothing_is_said(source_dir):
    settings = opened(source_dir)
    assert (settings.pooling, settings.normalize) == ("mean", False)


@pytest.mark.parametrize(
    ("mode", "pooling"),
    [("pooling_mode_mean_tokens", "mean"), ("pooling_mode_cls_token", "cls"), ("pooling_mode_max_tokens", "max")],
)
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling_is_that_of_sentence_transformers(source_dir, mode, pooling, normalize):
    modes = dict.fromkeys(("pooling_mode_mean_tokens", "pooling_mode_cls_token", "pooling_mode_max_tokens"), False)
    pooled(source_dir, ["Transformer", "Pooling", "Normalize"][: 2 + normalize], **{**modes, mode: True})
    settings = opened(source_dir, task="feature-extraction")
    assert (settings.pooling, settings.normalize) == (pooling, normalize)


@pytest.mark.parametrize(
    "modes",
    [
        {"pooling_mode_lasttoken": True},
        {"pooling_mode_weightedmean_tokens": True},
        {"pooling_mode_mean_sqrt_len_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode": ["mean", "max"]},
        {"pooling_mode": "lasttoken"},
    ],
)
def test_other_pooling_is_done_in_the_artifact(source_dir, modes):
    pooled(source_dir, ["Transformer", "Pooling", "Normalize"], **modes)
    settings = opened(source_dir, task="feature-extraction")
    assert (settings.pooling, settings.normalize) == ("model", False)


@pytest.mark.parametrize(("mode", "pooling"), [("mean", "mean"), ("cls", "cls"), (["max"], "max"), (None, "mean")])
def test_the_new_spelling_of_pooling(source_dir, mode, pooling):
    pooled(source_dir, ["Transformer", "Pooling"], pooling_mode=mode, include_prompt=True)
    assert opened(source_dir, task="feature-extraction").pooling == pooling


def test_two_spellings_that_contradict_each_other_are_refused(source_dir):
    pooled(source_dir, ["Transformer", "Pooling"], pooling_mode="cls", pooling_mode_mean_tokens=True)
    assert "says pooling ['cls'] and ['mean']; leave one" in refused(source_dir)


def test_a_pooling_whose_file_is_gone_is_refused(source_dir):
    pooled(source_dir, ["Transformer", "Pooling"], pooling_mode_mean_tokens=True)
    shutil.rmtree(source_dir / "1_Pooling")
    assert "1_Pooling/config.json cannot be read" in refused(source_dir)


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        (["Transformer", "Pooling", "CNN"], "modules.json in {} has CNN; known: Transformer, Pooling, Dense"),
        (["Transformer"], "has 0 poolings, one is needed"),
        (["Transformer", "Pooling", "Pooling"], "has 2 poolings, one is needed"),
        (["Transformer", "Normalize", "Pooling"], "has 1 poolings, one is needed, behind the transformer"),
    ],
)
def test_modules_that_no_one_knows_or_that_stand_wrong_are_refused(source_dir, kinds, shown):
    pooled(source_dir, kinds, pooling_mode_mean_tokens=True)
    assert shown.format(source_dir) in refused(source_dir, UnsupportedConversion)


@pytest.mark.parametrize(
    ("file", "fields", "shown"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "attention"}, "has the pooling 'attention'; known: cls, max, mean"),
        ("1_Pooling/config.json", {"magic": 3}, "has magic = 3, which edgewright does not carry out"),
        ("sentence_bert_config.json", {"magic": [1]}, "has magic = [1], which edgewright does not carry out"),
        ("sentence_bert_config.json", {"query_length": 32}, "has query_length = 32"),
        ("sentence_bert_config.json", {"processing_kwargs": {"text": {"padding": "max_length"}}}, "processing_kwargs"),
        ("sentence_bert_config.json", {"model_args": {"add_pooling_layer": False}}, "has model_args = "),
        ("config_sentence_transformers.json", {"truncate_dim": 32}, "has truncate_dim = 32"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "is of a SparseEncoder"),
        ("tokenizer_config.json", {"split_special_tokens": True}, "has split_special_tokens = True"),
        ("config.json", {"function_to_apply": "sigmoid"}, "has function_to_apply = 'sigmoid'"),
        (
            "config.json",
            {"task_specific_params": {"feature-extraction": {"x": 1}}},
            "task_specific_params of feature-extraction",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_is_said_and_not_carried_out_is_refused_by_name(source_dir, file, fields, shown):
    pooled(source_dir, ["Transformer", "Pooling"], pooling_mode_mean_tokens=True)
    configure(source_dir, file, **fields)
    assert shown in refused(source_dir, UnsupportedConversion, task="feature-extraction")


def test_keys_that_no_one_knows_are_reported(source_dir):
    configure(source_dir, my_own_key=3, hidden_act="gelu")
    assert open_source(source_dir).unread == ("my_own_key",)


def test_a_default_prompt_that_is_not_there_is_refused(source_dir):
    pooled(source_dir, ["Transformer", "Pooling"], pooling_mode_mean_tokens=True)
    configure(source_dir, "config_sentence_transformers.json", prompts={"query": "q: "}, default_prompt_name="passage")
    assert "names the default prompt 'passage', its prompts are: query" in refused(source_dir)
    configure(source_dir, "config_sentence_transformers.json", default_prompt_name="query")
    assert opened(source_dir, task="feature-extraction").prompt == "q: "
    configure(source_dir, "1_Pooling/config.json", include_prompt=False)
    assert "leaves the prompt 'q: ' out of the pooling" in refused(source_dir, UnsupportedConversion)


@pytest.mark.parametrize(
    ("saved", "labels", "found"),
    [
        ({}, 1, "sigmoid"),
        ({"problem_type": "regression"}, 1, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, 1, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, 1, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, 1, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, 2, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, 2, "over 2 labels"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}}, 1, "the activation Tanh"),
        ({"sentence_transformers": {"activation_fn": "my.own.Magic"}}, 1, "the activation my.own.Magic"),
    ],
)
def test_the_saved_activation_of_a_cross_encoder(source_dir, saved, labels, found):
    configure(source_dir, id2label={str(at): f"l{at}" for at in range(labels)}, **saved)
    if found in ("sigmoid", "identity"):
        assert opened(source_dir).activation == found
    else:
        assert found in refused(source_dir, UnsupportedConversion)


@pytest.mark.parametrize("text", ["null", "{}", '{"a": 1}', '["Transformer"]', "5"])
def test_modules_of_another_form_are_refused_or_passed_over(source_dir, text):
    (source_dir / "modules.json").write_text(text)
    opens_or_refuses(source_dir)


@pytest.mark.parametrize(
    "fields",
    [
        {"architectures": "BertForSequenceClassification"},
        {"architectures": [None]},
        {"architectures": 5},
        {"architectures": {"0": "BertModel"}},
        {"id2label": None, "num_labels": "2"},
        {"id2label": None, "num_labels": None},
        {"id2label": 5},
        {"problem_type": ["regression"]},
        {"problem_type": 5},
        {"max_position_embeddings": None},
        {"max_position_embeddings": "512"},
        {"max_position_embeddings": [512]},
        {"model_type": "roberta", "max_position_embeddings": None},
        {"model_type": "roberta", "max_position_embeddings": "514"},
        {"model_type": "roberta", "pad_token_id": None},
        {"model_type": ["bert"]},
        {"model_type": None},
        {"vocab_size": "big"},
        {"vocab_size": None},
    ],
    ids=lambda fields: ",".join(f"{key}={value!r}" for key, value in fields.items()),
)
def test_fields_of_another_type_are_refused_or_passed_over(source_dir, fields):
    configure(source_dir, **fields)
    opens_or_refuses(source_dir)


def opens_or_refuses(directory):
    with suppress(SourceError, UnsupportedConversion):
        open_source(directory)


# licence


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlanguage: en\nlicense:   cc-by-nc-4.0  \ntags: [x]\n---\n# A model\n", "cc-by-nc-4.0"),
        ("---\r\nlicense: apache-2.0\r\n---\r\n", "apache-2.0"),
        ("---\nlanguage: en\n---\n", None),
        ("# A model\n", None),
        ("", None),
        ("---\nlicense_name: mine\n---\n", None),
        ("---\ntags:\n- license: mit\n---\n", None),
    ],
)
def test_the_licence_comes_from_the_front_matter(source_dir, card, licence):
    (source_dir / "README.md").write_bytes(card.encode())
    assert open_source(source_dir).licence() == licence


@pytest.mark.parametrize(
    "card",
    ["---\nlicense:\n---\n", "# A model\n\nlicense: mit\n", "---\na: b\n---\nlicense: mit\n"],
)
def test_what_is_no_licence_in_the_front_matter_is_none(source_dir, card):
    (source_dir / "README.md").write_text(card)
    assert open_source(source_dir).licence() is None


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quoted_licence_counts(source_dir, quote):
    (source_dir / "README.md").write_text(f"---\nlicense: {quote}mit{quote}\n---\n")
    assert open_source(source_dir).licence() == "mit"


def test_the_licence_may_come_after_a_long_list(source_dir):
    results = "".join(f"- task: retrieval\n  value: {at}\n" for at in range(9000))
    assert len(results) > 2**17
    (source_dir / "README.md").write_text(f"---\nmodel-index:\n{results}license: mit\n---\n")
    assert open_source(source_dir).licence() == "mit"
    with (source_dir / "README.md").open("ab") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(SourceError, match=r"README.md has 16777217 bytes, at most 16777216 are read"):
        open_source(source_dir).licence()


def test_no_card_has_no_licence(source_dir):
    (source_dir / "README.md").unlink()
    assert open_source(source_dir).licence() is None


def test_bytes_that_are_not_utf_8_do_not_stop_the_licence(source_dir):
    (source_dir / "README.md").write_bytes(b"---\nauthor: Jos\xe9\nlicense: mit\n---\n")
    assert open_source(source_dir).licence() == "mit"
