"""Tiny encoder-decoders with random weights, wide enough to write varied tokens, and with real tokenizers."""

import json
import math
from collections import Counter

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

KINDS = ("marian", "t5", "t5-v1.1")
TEXT = [
    "Turn on the lights in the kitchen.",
    "Set the temperature to 22 degrees, please!",
    "Play my favorite playlist - the long one.",
    "Lock the front door at 10 PM.",
    "Where is the nearest station? It is over there.",
    "Enciende las luces de la cocina, por favor.",
    "¿Dónde está la estación más cercana?",
    "El niño comió pan con queso y miel.",
]


def tokenizer(directory, pad, size=180):
    """A Unigram tokenizer of a few texts, with `</s>` behind each text; `pad` is the last id, or the first."""
    specials = ["</s>", "<unk>", "<pad>"] if pad == "last" else ["<pad>", "</s>", "<unk>"]
    pieces = [(special, 0.0) for special in specials] + _pieces(size - len(specials))
    found = Tokenizer(models.Unigram(pieces, specials.index("<unk>")))
    found.normalizer = normalizers.NFKC()
    found.pre_tokenizer, found.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    found.add_special_tokens([AddedToken(one, special=True) for one in specials])
    end = found.token_to_id("</s>")
    found.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", end)]
    )
    directory.mkdir(parents=True, exist_ok=True)
    found.save(str(directory / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}
    config |= {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return found


def _pieces(count):
    """Parts of the words and how likely they are; a trainer breaks ties by chance, so that each process has others."""
    parts = Counter()
    for word in ("\u2581" + word for text in TEXT for word in text.split()):
        parts.update(word[a:b] for a in range(len(word)) for b in range(a + 1, min(a + 6, len(word) + 1)))
    characters = sorted(part for part in parts if len(part) == 1)
    longer = sorted(parts.keys() - set(characters), key=lambda part: (-parts[part] * len(part), part))
    return [(part, math.log(parts[part] / parts.total())) for part in (characters + longer)[:count]]


def model(kind, vocabulary, *, seed=0, end=1.0, **sizes):
    """A model of `transformers`; `end` is how much likelier an end is, so that some beams end and others do not.

    `sizes` are of a Marian's configuration.
    """
    import torch

    torch.manual_seed(seed)
    made = _marian(vocabulary, sizes) if kind == "marian" else _t5(vocabulary, kind)
    made.eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "embed_positions" in name:
                continue
            if "norm" in name and "weight" in name:
                weight.normal_(1, 0.1)
            elif weight.dim() == 1:
                weight.normal_(0, 0.1)
            else:
                wide = 2.0 if name.endswith(("q_proj.weight", "lm_head.weight")) else 1.0
                weight.normal_(0, wide * weight.shape[1] ** -0.5)
        if kind == "marian":
            # Else the tied table writes its input again, for ever
            made.model.decoder.layers[-1].final_layer_norm.weight.copy_(torch.randn(made.config.d_model).sign())
            made.model.shared.weight[made.config.pad_token_id] = 0
            made.final_logits_bias.normal_(0, 0.1)
            made.final_logits_bias[0, 0] += end
        else:
            made.shared.weight.normal_(0, 1.0)
            made.decoder.final_layer_norm.weight.copy_(
                torch.randn(made.config.d_model).sign() * (4.0 if kind == "t5" else 1.0)
            )
            if kind == "t5-v1.1":  # whose head is a table of its own
                made.lm_head.weight = torch.nn.Parameter(torch.randn(vocabulary, 32) * 0.7)
    return made


def _marian(vocabulary, sizes):
    from transformers import MarianConfig, MarianMTModel

    given = {
        "vocab_size": vocabulary,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "activation_function": "swish",
        "scale_embedding": True,
        "max_position_embeddings": 64,
        "pad_token_id": 2,
        "eos_token_id": 0,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 0,
        **sizes,
    }
    made = MarianMTModel(MarianConfig(**given))
    made.generation_config.bad_words_ids = [[made.config.pad_token_id]]
    return made


def _t5(vocabulary, kind):
    from transformers import T5Config, T5ForConditionalGeneration

    more = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if kind == "t5-v1.1" else {}
    config = T5Config(
        vocab_size=vocabulary,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
        decoder_start_token_id=0,
        **more,
    )
    return T5ForConditionalGeneration(config)


def saved(directory, kind, *, vocabulary=0, **options):
    """A directory with a model and its tokenizer, and the model, which may have more tokens than the tokenizer."""
    found = tokenizer(directory, "last" if kind == "marian" else "first")
    made = model(kind, vocabulary or found.get_vocab_size(), **options)
    made.save_pretrained(directory)
    return made


def sources(tokens, count, *, seed=1):
    """Token ids of the texts, and parts of them: `count` sources of many lengths."""
    rng = np.random.default_rng(seed)
    ids = [tokens.encode(text).ids for text in TEXT]
    found = list(ids)
    while len(found) < count:
        whole = ids[int(rng.integers(len(ids)))][:-1]
        begin = int(rng.integers(len(whole)))
        found.append([*whole[begin : begin + int(rng.integers(1, 24))], ids[0][-1]])
    return found[:count]


def opened(
    directory, kind, *, count=20, precision="fp32", made_as="onnx", byte_dots=True, room=64, shortlist=False, **options
):
    """A model of `transformers`, the artifact of it for `room` tokens that an engine opens, its rules, and sources."""
    from pathlib import Path
    from types import SimpleNamespace

    import torch
    from transformers import AutoModelForSeq2SeqLM

    from edgewright import registry
    from edgewright.bundle.manifest import Settings
    from edgewright.contracts.converter import ConversionSpec
    from edgewright.generation.defaults import translation_defaults
    from edgewright.inference.engines import engine_for

    torch.set_num_threads(1)
    home = Path(directory) / "model"
    saved(home, kind, **options)
    eager = AutoModelForSeq2SeqLM.from_pretrained(home).eval()
    tokens = Tokenizer.from_file(str(home / "tokenizer.json"))
    converter = registry.load("converters", made_as)()
    path = Path(directory) / f"x{Path(converter.path(precision)).suffix}"
    asked = precision, ("input_ids",), ("logits",), {}, "translation", Settings(max_length=room), home
    spec = ConversionSpec(*asked, byte_dots=byte_dots, shortlist=shortlist)
    converter.convert(SimpleNamespace(model=eager), spec, path)
    rules, _ = translation_defaults(home, room)
    model = engine_for(made_as).open_encoder_decoder(path, threads=1, context=room, narrow=shortlist)
    return SimpleNamespace(eager=eager, model=model, rules=rules, sources=sources(tokens, count), home=home)


def generated(eager, ids, **how):
    """What `generate` writes after each source, padded together: tokens without padding, and scores."""
    from types import SimpleNamespace

    import torch

    longest, pad, end = max(map(len, ids)), eager.config.pad_token_id, eager.config.eos_token_id
    found = eager.generate(
        torch.tensor([[*one, *[pad] * (longest - len(one))] for one in ids]),
        attention_mask=torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids]),
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **how,
    )
    rows = found.sequences[:, 1:].tolist()
    tokens = [row[: row.index(end) + 1] if end in row else row for row in rows]
    scores = found.sequences_scores.tolist() if how.get("num_beams", 1) > 1 else None
    return SimpleNamespace(tokens=tokens, scores=scores)


def marian_tokenizer(directory, model_type="unigram"):
    """source.spm, target.spm and vocab.json of a few texts, with the language `>>es<<`."""
    from pathlib import Path

    import sentencepiece

    home = Path(directory)
    home.mkdir(parents=True, exist_ok=True)
    pieces = []
    letters = ["".join(chr(at) + " " for at in range(33, 127))]  # what the source alone knows is looked up nowhere
    for side, texts in (("source", TEXT[:5] + letters), ("target", TEXT[5:])):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts * 20),
            model_prefix=str(home / side),
            vocab_size=140 if side == "source" else 40,
            model_type=model_type,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (home / f"{side}.model").rename(home / f"{side}.spm")
        (home / f"{side}.vocab").unlink()
        read = sentencepiece.SentencePieceProcessor(str(home / f"{side}.spm"))
        pieces += [read.id_to_piece(at) for at in range(read.get_piece_size())]
    pieces = [piece for piece in pieces if piece not in ("<s>", "</s>", "<unk>")]
    names = list(dict.fromkeys(["</s>", "<unk>", ">>es<<", *pieces, "<pad>"]))
    (home / "vocab.json").write_text(json.dumps({name: at for at, name in enumerate(names)}))
    (home / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer"}))
    return home


def opus(directory):
    """A Marian with its own two sentencepiece models, as OPUS-MT's are saved."""
    home = marian_tokenizer(directory)
    vocabulary = json.loads((home / "vocab.json").read_text())
    made = model("marian", len(vocabulary))
    made.config.pad_token_id = made.config.decoder_start_token_id = vocabulary["<pad>"]
    made.generation_config.update(
        pad_token_id=vocabulary["<pad>"],
        decoder_start_token_id=vocabulary["<pad>"],
        bad_words_ids=[[vocabulary["<pad>"]]],
        num_beams=2,
    )
    made.save_pretrained(home)
    return home
