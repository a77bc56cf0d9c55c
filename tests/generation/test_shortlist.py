"""Which tokens a sentence is held to, and that a search over them is the one over all that bars the others."""

import contextlib
from dataclasses import replace
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from test_beams import RULES, WAYS, Chance

from edgewright.errors import BundleError, UsageError
from edgewright.generation import shortlist
from edgewright.generation.beams import Search, write
from edgewright.generation.shortlist import Shortlist

WIDE = 40


class Narrow(Chance):
    """Held to candidates it gives their logits, of texts of the same tokens."""

    narrows = True

    def __init__(self, **more):
        super().__init__(vocabulary=WIDE, context=6, **more)

    def _narrow(self, candidates):
        self._held = candidates

    def _step(self, tokens):
        logits = super()._step(tokens)
        return logits if self._held is None else logits[:, self._held]


def chance(seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, WIDE)
    starts = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
    return Shortlist(starts, rng.integers(2, WIDE, starts[-1]).astype(np.int32), np.array([3, 5, 8], np.int32))


def test_candidates_are_those_of_the_tokens_the_tokens_and_those_of_all():
    table, rules, source = chance(), replace(RULES, banned=(5,), forced=2), [7, 9, 9, 1]
    found = table.of(source, rules)
    wanted = {3, 8, 2, *RULES.ends, *source} | {
        int(token) for one in source for token in table.tokens[table.starts[one] : table.starts[one + 1]]
    }
    assert found.tolist() == sorted(wanted - {5})
    assert table.of([7], RULES).tolist() != found.tolist()
    assert table.of(source, rules).tolist() == found.tolist(), "what is remembered of all sentences stays"


@pytest.mark.parametrize("way", WAYS)
def test_a_search_over_candidates_is_the_one_that_bars_all_others(way):
    """Which sums probabilities up again over what is left, as transformers does with `renormalize_logits`."""
    search, table = Search(**WAYS[way], max_new_tokens=6), chance()
    for number in range(6):
        source = [2 + number, 30 - number, 1]
        (found,) = write(Narrow(), [source], search, RULES, shortlist=table)
        others = tuple(set(range(WIDE)) - set(table.of(source, RULES).tolist()))
        (wanted,) = write(Chance(WIDE), [source], search, replace(RULES, banned=others, renormalize=True))
        assert found.tokens == wanted.tokens
        assert found.score == pytest.approx(wanted.score, abs=1e-5, nan_ok=True)
        assert not set(found.tokens) & set(others)


@pytest.mark.parametrize("way", WAYS)
def test_a_text_is_held_to_the_same_alone_and_beside_others(way):
    sources, table = [[5, 1], [3, 24, 2, 12, 1], [2, 1], [4, 34, 1]], chance()
    search = Search(**WAYS[way], max_new_tokens=6)
    together = write(Narrow(), sources, search, RULES, shortlist=table)
    alone = [write(Narrow(), [one], search, RULES, shortlist=table)[0] for one in sources]
    assert [one.tokens for one in together] == [one.tokens for one in alone]


def test_what_is_forced_and_a_score_are_of_the_candidates():
    rules = replace(RULES, forced=1)
    (cut,) = write(Narrow(), [[7, 1]], Search(max_new_tokens=2), rules, scored=True, shortlist=chance())
    assert cut.tokens[-1] == 1
    assert cut.score < 0


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = chance()
    (tmp_path / "x.npz").write_bytes(table.packed())
    found = Shortlist.read(tmp_path / "x.npz")
    assert found.packed() == table.packed() == chance().packed()
    assert found.vocabulary == WIDE
    assert found.of([7, 1], RULES).tolist() == table.of([7, 1], RULES).tolist()


def damaged():
    table = chance()
    yield "other numbers", table.starts.astype(np.int64), table.tokens, table.always
    yield "no order", table.starts[::-1].copy(), table.tokens, table.always
    yield "another end", table.starts, table.tokens[:-1], table.always
    yield "another vocabulary", table.starts, table.tokens + np.int32(WIDE), table.always
    yield "below zero", table.starts, table.tokens, np.array([-1], np.int32)
    yield "two sides", table.starts[None], table.tokens, table.always
    yield "nothing", table.starts[:1], table.tokens[:0], table.always


@pytest.mark.parametrize("parts", list(damaged()), ids=lambda parts: parts[0])
def test_what_is_no_table_is_refused(parts, tmp_path):
    np.savez(tmp_path / "x.npz", **dict(zip(("starts", "tokens", "always"), parts[1:], strict=True)))
    with pytest.raises(BundleError, match="build the bundle again"):
        Shortlist.read(tmp_path / "x.npz")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 torn", b"not a zip at all"])
def test_a_torn_file_is_no_table(content, tmp_path):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"x\.npz is no table of tokens"):
        Shortlist.read(tmp_path / "x.npz")


def test_a_damaged_byte_is_one_clear_error_or_changes_nothing(tmp_path):
    """Wherever it is: of the archive, of what is deflated, of an array's head."""
    table, path = Shortlist(*(np.array(part, np.int32) for part in ([0, 2, 3], [0, 1, 1], [1]))), tmp_path / "x.npz"
    whole = table.packed()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with contextlib.suppress(BundleError):
            assert Shortlist.read(path).packed() == whole


@pytest.mark.parametrize("claims", [True, False], ids=["claimed", "there"])
def test_an_array_that_unpacks_without_end_is_refused(claims, tmp_path, monkeypatch):
    monkeypatch.setattr(shortlist, "_MOST_BYTES", 1 << 16)
    head = BytesIO()
    shape = {"descr": "<i4", "fortran_order": False, "shape": (10**13 if claims else 2**15,)}
    np.lib.format.write_array_header_1_0(head, shape)
    with ZipFile(tmp_path / "x.npz", "w", ZIP_DEFLATED) as archive:
        for name in ("starts", "tokens", "always"):
            archive.writestr(f"{name}.npy", head.getvalue() + bytes(0 if claims else 2**17))
    with pytest.raises(BundleError, match="MemoryError|EOF" if claims else "unpacks to more than"):
        Shortlist.read(tmp_path / "x.npz")


@pytest.mark.parametrize("candidates", [[], [3, 3], [4, 2], [-1, 2], [2, WIDE]])
def test_candidates_that_are_none_are_refused(candidates):
    with pytest.raises(UsageError, match=f"no rising tokens of a vocabulary of {WIDE}"):
        Narrow().begin([[5, 1]], candidates=np.array(candidates, np.int64))


def test_an_engine_that_cannot_be_held_says_so():
    with pytest.raises(UsageError, match="gives logits of all 5 tokens, not of candidates"):
        write(Chance(), [[3, 1]], Search(max_new_tokens=4), RULES, shortlist=chance())
