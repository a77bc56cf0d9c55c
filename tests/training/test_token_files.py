"""Token files: every token of every document, in parts that several processes write, and nothing altered unseen."""

import json
import os
import random
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer

from edgewright.data.text_documents import Documents
from edgewright.errors import DataError, StorageError, UsageError
from edgewright.training import token_files
from edgewright.training.decoder_tokenizer import train_decoder_tokenizer
from edgewright.training.token_files import Part, TokenFiles, write_part, write_tokens

STORY = Path(__file__).parents[1] / "story.txt"
WORDS = STORY.read_text().split()


def stories(count):
    rng = random.Random(count)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(5, 60))) for _ in range(count)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    out = tmp_path_factory.mktemp("tokenizer")
    train_decoder_tokenizer(Documents.of([STORY]), out, kind="bpe", size=300, max_length=64)
    return out


@pytest.fixture
def documents(tmp_path):
    (tmp_path / "stories.txt").write_text("<|endoftext|>".join(stories(300)))
    return Documents.of([tmp_path / "stories.txt"])


@pytest.fixture
def made(documents, tokenizer, tmp_path):
    return write_tokens(documents, tokenizer, tmp_path / "tokens", validation=0.1, workers=1)


def read(files, split):
    return [token for shard in files.shards(split) for token in files.read(shard, 0, shard.tokens).tolist()]


def test_every_document_is_in_one_of_the_splits_and_ended(made, tokenizer):
    backend = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    found = []
    for split in ("train", "validation"):
        tokens = read(made, split)
        assert made.tokens(split) == len(tokens)
        assert tokens[-1] == 0
        ends = [at for at, token in enumerate(tokens) if token == 0]
        texts = [backend.decode(tokens[a:b]) for a, b in zip([0, *(end + 1 for end in ends)], ends, strict=False)]
        assert made.text_bytes(split) == sum(len(text.encode()) for text in texts)
        assert sum(shard.documents for shard in made.shards(split)) == len(texts)
        found += texts
    assert sorted(found) == sorted(stories(300))
    assert 10 < made.shards("validation")[0].documents < 60


def test_copies_of_a_document_fall_on_one_side(tokenizer, tmp_path):
    (tmp_path / "twice.txt").write_text("<|endoftext|>".join(stories(200) * 2))
    files = write_tokens(Documents.of([tmp_path / "twice.txt"]), tokenizer, tmp_path / "t", validation=0.2, workers=1)
    backend = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    sides = [
        set(backend.decode(read(files, s), skip_special_tokens=False).split("<|endoftext|>"))
        for s in token_files.SPLITS
    ]
    assert sides[0] & sides[1] == {""}


def parts(documents, tokenizer, out, step):
    given = (list(map(str, documents.paths)), "", "text", str(tokenizer), str(out), 4096, 0.1)
    return [Part(*given, first, step) for first in range(step)]


def test_parts_are_the_same_whoever_writes_them(documents, tokenizer, tmp_path):
    for step in (1, 3):
        (tmp_path / str(step)).mkdir()
        for part in reversed(parts(documents, tokenizer, tmp_path / str(step), step)):
            write_part(part, lambda _: None)
    one, three = ({path.name: path.read_bytes() for path in (tmp_path / step).iterdir()} for step in ("1", "3"))
    assert one == three
    assert len(one) > 20


def test_what_was_written_before_a_kill_is_not_written_again(documents, tokenizer, tmp_path):
    class Killed(Exception):
        pass

    def kill(phrase):
        if phrase.endswith("part 3"):
            raise Killed

    (part,) = parts(documents, tokenizer, tmp_path, 1)
    with pytest.raises(Killed):
        write_part(part, kill)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("train-*.bin")}
    assert len(before) == 3
    write_part(part, lambda _: None)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("train-*.bin")}
    assert after.items() > before.items()


def test_it_is_made_once(made, documents, tokenizer, tmp_path):
    names = {path.name for path in made.directory.iterdir()}
    assert names == {"tokens.json", "train-00000.bin", "validation-00000.bin"}
    again = write_tokens(documents, tokenizer, made.directory, validation=0.1)
    assert again.manifest == made.manifest
    with pytest.raises(UsageError, match="holds the tokens of other texts"):
        write_tokens(documents, tokenizer, made.directory, validation=0.2)
    (tmp_path / "stories.txt").write_text("another")
    with pytest.raises(UsageError, match="holds the tokens of other texts"):
        write_tokens(documents, tokenizer, made.directory, validation=0.1)


def test_a_shard_that_is_missing_cut_or_altered_is_said(made):
    path = made.directory / "train-00000.bin"
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    with pytest.raises(DataError, match=rf"train-00000.bin has {len(data) - 2} bytes, its manifest says {len(data)}"):
        TokenFiles(made.directory)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(DataError, match=r"train-00000.bin has been altered: its SHA-256 is"):
        TokenFiles(made.directory)
    path.unlink()
    with pytest.raises(DataError, match=r"train-00000.bin, a shard of the manifest, cannot be read"):
        TokenFiles(made.directory)


def test_a_shard_that_is_cut_while_it_is_read_is_said(made):
    (shard,) = made.shards("train")
    os.truncate(made.directory / shard.name, 100)
    assert len(made.read(shard, 0, 50)) == 50
    with pytest.raises(DataError, match=rf"has 100 bytes, {2 * shard.tokens} were there at the start"):
        made.read(shard, 40, 20)


@pytest.mark.parametrize("text", ["{", "[]", '{"key": 3}'])
def test_a_manifest_that_is_none_is_said(made, text):
    (made.directory / "tokens.json").write_text(text)
    with pytest.raises(StorageError, match=r"tokens.json"):
        TokenFiles(made.directory)


def test_another_tokenizer_does_not_fit(made, tmp_path):
    train_decoder_tokenizer(Documents.of([STORY]), tmp_path / "other", kind="bpe", size=280, max_length=64)
    with pytest.raises(UsageError, match="holds tokens of the tokenizer"):
        made.check_tokenizer(tmp_path / "other")


def test_a_share_that_no_document_falls_to_is_said(tokenizer, tmp_path):
    (tmp_path / "one.txt").write_text("one story")
    documents = Documents.of([tmp_path / "one.txt"])
    with pytest.raises(DataError, match=r"of 1 documents none falls to validation, a share of 0\.02"):
        write_tokens(documents, tokenizer, tmp_path / "tokens", validation=0.02)
    (tmp_path / "one.txt").write_text(" ")
    with pytest.raises(DataError, match="no text to train on"):
        write_tokens(documents, tokenizer, tmp_path / "others", validation=0.02)


def test_a_full_disk_is_said(documents, tokenizer, small_disk):
    (small_disk / "filling").write_bytes(b"0" * 250_000)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        write_tokens(documents, tokenizer, small_disk / "tokens", validation=0.1, workers=1)


@pytest.mark.slow
def test_processes_write_what_one_would(tokenizer, tmp_path):
    (tmp_path / "much.txt").write_text("<|endoftext|>".join(stories(12_000)))
    documents = Documents.of([tmp_path / "much.txt"])
    one, two = (
        write_tokens(documents, tokenizer, tmp_path / str(workers), validation=0.1, workers=workers)
        for workers in (1, 2)
    )
    assert one.manifest == two.manifest
    assert len(one.manifest.train) > 1
    assert sum(shard.documents for split in token_files.SPLITS for shard in two.shards(split)) == 12_000


def test_the_manifest_is_plain_json(made):
    tree = json.loads((made.directory / "tokens.json").read_text())
    assert tree["vocabulary"] == 300
    assert tree["type"] == "<u2"
    assert msgspec.convert(tree, token_files.TokenManifest) == made.manifest
    assert (
        np.dtype(tree["type"]).itemsize * tree["train"][0]["tokens"]
        == (made.directory / "train-00000.bin").stat().st_size
    )
