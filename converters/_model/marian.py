"""Marian's tokenizer, two sentencepiece models over one vocabulary, as a tokenizer.json.

Texts are cut by the source's model, and tokens read by the target's: the pieces of both stand in vocab.json, those that
the source's model lacks with a mark (`edgewright.model.two_sided`). What transformers finds in vocab.json without a
model, a single character between known ones that the target alone knows, is unknown here. The ids of the gate's texts
are held against transformers' own.
"""

from __future__ import annotations

from typing import Any

from edgewright.errors import TokenizerError
from edgewright.model.two_sided import TARGET_MARK

__all__ = ["marian_json"]

_UNIGRAM = 1
"""TrainerSpec.ModelType.UNIGRAM of sentencepiece_model.proto."""
_BYTE, _USER = 6, 4
"""SentencePiece.Type.BYTE and USER_DEFINED there."""


def marian_json(tokenizer: Any) -> str:
    """The tokenizer.json of a `transformers.MarianTokenizer`.

    Raises:
        TokenizerError: its models are of a kind that no tokenizer.json says.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    if tokenizer.separate_vocabs:
        what = "this Marian tokenizer has a vocabulary of its own for the target"
        raise TokenizerError(what, hint="models with one vocab.json for both sides are taken")
    source = _read(tokenizer.spm_source)
    specials = [str(one) for one in (tokenizer.eos_token, tokenizer.unk_token, tokenizer.pad_token)]
    languages = tokenizer.supported_language_codes
    vocabulary = _vocabulary(source, _names(tokenizer.encoder), [*specials, *languages])
    found = Tokenizer(models.Unigram(vocabulary, unk_id=tokenizer.unk_token_id, byte_fallback=False))
    charsmap = source.normalizer_spec.precompiled_charsmap
    first = [normalizers.Replace(TARGET_MARK, "")]
    found.normalizer = normalizers.Sequence(first + [normalizers.Precompiled(charsmap)] * bool(charsmap))
    # sentencepiece itself drops spaces at the ends and doubled ones
    found.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    found.decoder = decoders.Sequence([decoders.Replace(TARGET_MARK, ""), decoders.Metaspace()])
    found.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in specials])
    found.add_tokens([AddedToken(one, normalized=False) for one in languages])
    end = str(tokenizer.eos_token)
    found.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A $B {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    return str(found.to_str())


def _read(model: Any) -> Any:
    """The proto of a sentencepiece model. Raises TokenizerError where it is none of unigrams."""
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto.FromString(model.serialized_model_proto())
    kind = proto.trainer_spec.model_type
    if kind != _UNIGRAM:
        what = f"source.spm is a sentencepiece model of type {kind}, and no Unigram"
        raise TokenizerError(what, hint="Marian models with Unigram tokenizers are taken")
    strange = next((piece.piece for piece in proto.pieces if piece.type in (_BYTE, _USER)), None)
    if strange is not None:
        what = f"source.spm has the piece {strange!r}, a byte or one of a user's own"
        raise TokenizerError(what, hint="Marian models without those are taken")
    return proto


def _vocabulary(source: Any, names: list[str], specials: list[str]) -> list[tuple[str, float]]:
    """The pieces by id with their scores in the source's model; what it lacks is marked, and as good as its worst."""
    scores = {piece.piece: piece.score for piece in source.pieces}
    worst = min(scores.values())
    known = scores.keys() | set(specials)
    return [(name if name in known else TARGET_MARK + name, scores.get(name, worst)) for name in names]


def _names(encoder: dict[str, int]) -> list[str]:
    """The tokens of vocab.json by id. Raises TokenizerError where ids are missing or double."""
    names = sorted(encoder, key=lambda name: encoder[name])
    if [encoder[name] for name in names] != list(range(len(names))):
        what = f"vocab.json has {len(names)} tokens, their ids are not 0 to {len(names) - 1}"
        raise TokenizerError(what, hint="copy or download it again")
    return names
