"""The demo model on a device without Python, over a real adb connection: a runner and an engine are all it has."""

import json

import pytest
from adb_world import ADBD
from conftest import edgewright, only, rows, second
from native import compiled, engine

URL = f"adb://127.0.0.1:{ADBD}"
TEXT = "a charming and often affecting journey"


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("runner") / "edgewright-run")


@pytest.fixture(scope="module")
def int8(tflite_bundle, tmp_path_factory):
    return only(tflite_bundle, tmp_path_factory.mktemp("int8") / "1", "int8")


@pytest.fixture
def there(tmp_path):
    return ["--root", tmp_path / "board"]


@pytest.mark.usefixtures("adb_world")
def test_a_device_without_python_from_first_to_last(int8, runner, there, tmp_path):
    flashed = json.loads(
        edgewright("flash", int8, URL, *there, "--runner", runner, "--engine", engine(), "--json", "-q")
    )
    assert [(row["engine"], row["golden"]) for row in flashed["rows"]] == [("litert", "7 of 7")]
    on = ["--device", URL, *there]
    assert [row["golden"] for row in rows("verify", int8, *on, "-q")] == ["7 of 7"]
    assert json.loads(edgewright("run", int8, TEXT, *on))["answer"][0]["name"] == "positive"
    (row,) = rows("bench", int8, *on, "--tokens", "16", "--processes", "2", "--runs", "5", "--least-ms", "5", "-q")
    assert row["median_ms"] > 0
    assert row["peak_rss_mib"] > 5
    assert row["answer_ms"] is None
    after = json.loads(edgewright("flash", second(int8, tmp_path / "2"), URL, *there, "--json", "-q"))["flash"]
    assert (after["sent"], after["version"]) == (["config.json"], 2)
    assert "000001-" in edgewright("rollback", URL, *there, "-q")
    found = rows("status", URL, *there)
    assert [(row["role"], row["problem"]) for row in found] == [("previous", None), ("active", None)]
    assert "2 releases were removed" in edgewright("uninstall", URL, *there)
    assert not (tmp_path / "board").exists()
