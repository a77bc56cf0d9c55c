"""What crosses to the process that measures: the keys that other versions know, and what they say beyond or less."""

import json
import shutil
import subprocess
import sys
from typing import get_args

import msgspec
import pytest

from edgewright.bundle.bundle import Bundle
from edgewright.errors import DeviceError, EngineError
from edgewright.measure import process
from edgewright.measure.bench import measured
from edgewright.measure.place import Here
from edgewright.measure.plan import Plan, Target
from edgewright.measure.process import AskAbout, AskCount, AskMemory, AskPeaks, AskTimes, answered, known
from edgewright.measure.rows import Machine, MachineState

ARTIFACT = {"format": "onnx", "precision": "int8"}
MEASURE = {**ARTIFACT, "threads": 1, "tokens": (16,), "texts": (["a", "b"], "c"), "runs": 50}
STATE = dict.fromkeys(MachineState.__struct_fields__)
SERIES = {"tokens": 16, "lengths": [16], "samples_ms": [1.0, 2], "others": 0.0, "before": STATE, "after": STATE}
TIMES = {"import_ms": 300.0, "modules": 312, "load_ms": 20.0, "first_ms": 2.0, "series": [SERIES]}
MACHINE = {"edgewright": "9", "python": "3.14", "system": "Linux", "model": "m", "cores": 4, "ram_mib": 900, "cpu": ""}


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        (AskAbout(bundle="b"), {"bundle": "b", "about": True}),
        (AskPeaks(bundle="b", peaks=2), {"bundle": "b", "peaks": 2}),
        (
            AskCount(bundle="b", **ARTIFACT, tokens=(16, 128)),
            {"bundle": "b", **ARTIFACT, "tokens": [16, 128]},
        ),
        (
            AskTimes(**MEASURE, warmup_runs=5, warmup_ms=300.0, buckets=(32, 64), least_ms=250.0, sustained_s=3.0),
            {
                "bundle": "", **ARTIFACT, "threads": 1, "tokens": [16], "texts": [["a", "b"], "c"], "runs": 50,
                "warmup_runs": 5, "warmup_ms": 300.0, "buckets": [32, 64], "batch": 1, "least_ms": 250.0,
                "sustained_s": 3.0, "peak": False,
            },
        ),
    ],
    ids=["about", "peaks", "count", "times"],
)  # fmt: skip
def test_a_request_has_the_keys_that_every_version_reads(request_, keys):
    assert json.loads(request_.packed()) == keys
    assert msgspec.convert(json.loads(request_.packed()), type(request_)) == request_


def test_memory_is_asked_for_in_the_words_of_times():
    times, memory = (json.loads(kind(**MEASURE).packed()) for kind in (AskTimes, AskMemory))
    assert {**times, "peak": True} == memory


def test_a_request_of_an_older_version_has_defaults_and_one_of_a_newer_is_read_as_far_as_it_is_known():
    older = {**MEASURE, "bundle": "b", "peak": True}
    assert msgspec.convert(json.loads(json.dumps(older)), AskMemory).batch == 1
    assert msgspec.convert({"about": True, "bundle": "b", "colour": "red"}, AskAbout) == AskAbout(bundle="b")


REQUESTS = [AskAbout, AskPeaks, AskCount, AskMemory, AskTimes]


@pytest.mark.parametrize("kind", REQUESTS, ids=[kind.__name__ for kind in REQUESTS])
def test_a_request_is_answered_by_what_its_type_says(kind):
    (base,) = kind.__orig_bases__
    assert get_args(base) == (kind.answer,)


def test_an_answer_of_a_newer_version_is_read_as_far_as_it_is_known():
    newer = {**TIMES, "gpu": 1, "series": [{**SERIES, "volts": [5], "before": {**STATE, "load": 1.5, "fan_rpm": 900}}]}
    found = answered(AskTimes(**MEASURE), json.dumps(newer).encode())
    (series,) = found.series
    assert series.samples_ms == (1.0, 2.0)
    assert (series.energy_mj, series.energy_meter, series.sustained_ms, series.parts) == (None, None, (), None)
    state = known(series.before, MachineState)
    assert state == MachineState(load=1.5)
    assert type(state) is MachineState


@pytest.mark.parametrize(("names", "said"), [(("a",), "onnx/int8"), (("a", "b"), "a onnx/int8")])
def test_which_bundle_a_process_measures_is_said_where_there_are_two(bundle_dir, names, said):
    class Silent(Here):
        def ask(self, *_):
            raise DeviceError("nothing runs here")

    bundles = [Bundle.open(shutil.copytree(bundle_dir, bundle_dir.with_name(name))) for name in names]
    artifact, lines = msgspec.structs.replace(bundles[0].manifest.artifacts[0], precision="int8"), []
    targets = [Target(bundle, Silent(bundle), artifact, 1) for bundle in bundles]
    with pytest.raises(DeviceError, match=f"^{said}, peak memory: .*nothing runs here"):
        measured(targets[:1] * 2 if len(names) == 1 else targets[::-1], Plan(tokens=(16,)), lines.append)
    assert lines[-1] == f"{said}: peak memory"


def test_a_machine_that_says_more_is_the_machine_of_a_row(bundle_dir):
    manifest = json.loads((bundle_dir / "manifest.json").read_text())
    printed = {"machine": {**MACHINE, "npu": "yes"}, "formats": ["onnx"], "manifest": manifest}
    found = answered(AskAbout(), json.dumps(printed).encode())
    assert known(found.machine, Machine) == msgspec.convert(MACHINE, Machine)
    assert found.config is None


@pytest.mark.parametrize("theirs", [process.TheirMachine, process.TheirState, process.TheirParts])
def test_what_another_version_describes_has_the_fields_of_a_row(theirs):
    assert theirs.__struct_fields__ == theirs.__mro__[1].__struct_fields__


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (b"", "printed no JSON"),
        (b"[" * 100_000, "printed no JSON"),
        (b"[]", "printed JSON that is no object"),
        (b"{}", "gave no TimesAnswer: Object missing required field `import_ms`; is the edgewright there as new"),
        (json.dumps({**TIMES, "modules": "many"}).encode(), r"gave no TimesAnswer: Expected `int`, got `str`"),
    ],
)
def test_what_is_no_answer_is_one_line(printed, words):
    with pytest.raises(DeviceError, match=words):
        answered(AskTimes(**MEASURE), printed)


def test_an_error_there_is_raised_here():
    with pytest.raises(EngineError, match="it died; try again"):
        answered(AskPeaks(peaks=1), json.dumps({"error": EngineError("it died", hint="try again").record()}).encode())


def test_the_imports_that_are_timed_hold_nothing_of_the_requests():
    code = "import sys, edgewright.runtimes._measuring.worker\nfrom edgewright.inference import engines, pipeline\n"
    code += (
        "engines.engines_of('onnx')\nprint(*(name for name in sys.modules if name.startswith('edgewright.measure')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == []
