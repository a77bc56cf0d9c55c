"""What tools/peers says: its tables, its chart, and the README's figures."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import peers_page  # noqa: E402

OURS, BARE, PIPELINE = "edgewright, ONNX int8", "bare onnxruntime, our int8", "transformers pipeline, fp32"


def side(name, at, cosine):
    return {
        "name": name,
        "ours": name == OURS,
        "versions": {"onnxruntime": "1.31.1"},
        "size_bytes": 23_700_000,
        "agreement": {"lowest_cosine": cosine},
        "cold_s": at / 4,
        "peak_mib": 100.0 * at,
        "latency_ms": {"16 tokens": at, "sentences": at * 3.0},
        "process_medians_ms": {"16 tokens": [at] * 3, "sentences": [at * 2.9, at * 3.0, at * 3.3]},
    }


def ratio(peer, what, value, low, high):
    return {"ours": OURS, "peer": peer, "what": what, "value": value, "low": low, "high": high}


@pytest.fixture
def record():
    whats = ("16 tokens", "sentences", "cold_s", "peak_mib")
    ratios = [ratio(BARE, what, 1.01, 0.98, 1.04) for what in whats]
    ratios += [ratio(PIPELINE, what, 0.123, 0.11, 0.14) for what in whats]
    model = {
        "name": "MiniLM",
        "task": "feature-extraction",
        "texts": 34,
        "longest": 128,
        "left_out": {"llama.cpp, f32": "could not be built"},
        "sides": [side(OURS, 1.0, 0.98761), side(BARE, 0.9, 0.98761), side(PIPELINE, 8.0, 1.0)],
        "ratios": ratios,
    }
    machine = {"model": "A Board", "cores": 4, "ram_mib": 4096, "cpu": "asimddp"}
    facts = {"began": "2026-01-02T03:04:05Z", "took_s": 7, "others": 0.01, "processes": 7, "sentences": "some.tsv"}
    return {**facts, "machine": machine, "models": [model]}


def test_a_time_stands_beside_its_agreement_and_a_ratio_beside_its_interval(record):
    lines = peers_page.page(record).splitlines()
    assert f"| **{OURS}** | 23.7 MB | 0.9876 | 1 | 3 |" in lines
    assert f"| {BARE} | 1.01 (0.98 to 1.04) | 1.01 (0.98 to 1.04) |" in lines
    assert f"| {PIPELINE} | **0.12** (0.11 to 0.14) | **0.12** (0.11 to 0.14) |" in lines
    assert f"| {PIPELINE} | 2.00 | **0.12** (0.11 to 0.14) | 800 | **0.12** (0.11 to 0.14) |" in lines
    assert "- Left out: llama.cpp, f32: could not be built." in lines
    assert f"| {BARE} | onnxruntime 1.31.1 |" in lines


def test_a_disturbed_run_says_so_first(record):
    assert "Void" not in peers_page.page(record)
    assert "**Void: other processes took 40% of the machine meanwhile.**" in peers_page.page({**record, "others": 0.4})


def test_too_few_processes_give_a_ratio_without_an_interval(record):
    for found in record["models"][0]["ratios"]:
        found["high"] = None
    page = peers_page.page(record)
    assert "**Too few processes for an interval.**" in page
    assert f"| {PIPELINE} | 0.12 | 0.12 |" in page


def test_labels_are_counted():
    assert peers_page.agreement_words({"same_labels": 33 / 34, "largest_difference": 0.0123}) == "97%, 0.012"


def test_the_chart_is_an_image_of_its_own(record):
    tree = ET.fromstring(peers_page.chart(record["models"][0]))  # noqa: S314 - made here
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    marks = [mark.get("class") for mark in tree.iter()]
    assert marks.count("whisker") == 3
    assert marks.count("dot") == 9
    assert "3 ms" in [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_every_file_is_written(record, tmp_path):
    peers_page.write(record, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"peers.json", "peers.md", "peers-minilm.svg"}
    assert json.loads((tmp_path / "out/peers.json").read_text()) == record
    assert "(peers-minilm.svg)" in (tmp_path / "out/peers.md").read_text()


def test_only_what_is_between_the_marks_changes(record):
    begin, end = peers_page.BEGIN, peers_page.END
    before = f"# A\n\n{begin}\nold\n{end}\n\nrest\n"
    after = peers_page.with_table(before, record)
    assert after.startswith(f"# A\n\n{begin}\n| MiniLM |")
    assert after.endswith(f"|\n{end}\n\nrest\n")
    assert "old" not in after
    assert peers_page.with_table(after, record) == after


def test_figures_of_a_void_run_do_not_reach_the_readme(record):
    after = peers_page.with_table(f"{peers_page.BEGIN}{peers_page.END}", {**record, "others": 0.4})
    assert "Void" in after
    assert "MiniLM" not in after


def test_a_readme_without_a_place_for_the_table_is_refused(record):
    with pytest.raises(ValueError, match="no place for the table"):
        peers_page.with_table("# A\n", record)


def test_the_readme_and_the_page_show_what_was_measured():
    record = json.loads((ROOT / "docs/peers.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert peers_page.with_table(readme, record) == readme
    assert peers_page.page(record) == (ROOT / "docs/peers.md").read_text()
