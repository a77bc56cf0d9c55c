"""The public names: complete, lazy, short at a prompt, closed when they are done, and given any column of texts."""

import ast
import copy
import inspect
import math
import pickle
import re
import subprocess
import sys
import weakref
from collections import deque
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from measured import ARTIFACT, FOUND, row, run, samples

import edgewright
from edgewright import contracts, registry
from edgewright.boards.facts import Match
from edgewright.bundle import manifest
from edgewright.bundle.manifest import Score
from edgewright.contracts.board_answers import Chain, Cores, Event, Facts
from edgewright.contracts.board_answers import Row as Release
from edgewright.contracts.transport import Tally
from edgewright.errors import DataError, GateFailed, UsageError
from edgewright.measure.explain import Part
from edgewright.measure.plan import Target
from edgewright.proof.compare import Outputs
from edgewright.proof.score import Scored
from edgewright.proof.subjects import Side
from edgewright.statistics.latency import Ratio
from edgewright.system.progress import silent
from edgewright.system.shown import MOST, Results

EVIL = "<script>alert(1)</script>\n\x1b[31m\"'&" + "long " * 40

VERBS = {
    "analyze attention": "attend",
    "analyze probe": "probe",
    "ask": "ask",
    "bench": "bench",
    "build": "build",
    "compare": "compare",
    "compress": "compress",
    "devices check": "read_profile",
    "devices emulate": "emulate",
    "devices estimate": "estimate",
    "devices list": "board_profiles",
    "devices probe": "probe_board",
    "devices show": "board_profile",
    "devices wheel": "board_wheel",
    "distill": "distill",
    "doctor": "examine",
    "eval": "evaluate",
    "export android": "export_android",
    "export c": "export_c",
    "export ios": "export_ios",
    "export litertlm": "export_litertlm",
    "export mediapipe": "export_mediapipe",
    "export mender": "export_mender",
    "export rauc": "export_rauc",
    "export web": "export_web",
    "flash": "flash",
    "inspect": "inspect",
    "keys rotate": "rotate_keys",
    "keys send": "rekey",
    "keys sign": "countersign_keys",
    "list": "listing",
    "pack": "pack",
    "pretrain": "pretrain",
    "profile": "profile",
    "pull": "pull",
    "push": "push",
    "race": "race",
    "report": "report",
    "rollback": "rollback",
    "run": "load",
    "search": "search",
    "serve": "serve",
    "sign": "sign",
    "status": "status",
    "tokenizer train": "train_tokenizer",
    "train": "train",
    "uninstall": "uninstall",
    "unpack": "unpack",
    "verify": "verify",
}
"""Each command, and the function that does the same in Python."""


def verbs():
    """The commands that there are, those of a group with its name before them."""
    for name in registry.names("cli"):
        command = registry.load("cli", name)
        own = command.list_commands(None) if hasattr(command, "list_commands") else [""]
        yield from (f"{name} {word}".strip() for word in own)


def public(kind):
    """The public names of a kind, and those of the seams."""
    found = {name: getattr(edgewright, name) for name in edgewright.__all__}
    found |= {f"contracts.{name}": getattr(contracts, name) for name in contracts.__all__}
    return {name: value for name, value in found.items() if kind(value)}


FUNCTIONS, CLASSES = public(inspect.isfunction), public(inspect.isclass)


# names


def test_every_command_has_its_function():
    assert set(verbs()) == set(VERBS)
    assert set(VERBS.values()) <= set(FUNCTIONS)


def test_completion_shows_every_public_name():
    """In a fresh process: a name that was used is in the module's own dictionary anyway."""
    code = "import edgewright; print(dir(edgewright)); print(dir(edgewright.contracts))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    shown, of_contracts = map(ast.literal_eval, done.stdout.splitlines())
    assert set(shown) == {*edgewright.__all__}
    assert of_contracts == contracts.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        contracts.nonsense  # noqa: B018


def test_a_module_that_is_a_name_is_reached_by_it():
    code = "import edgewright; print(edgewright.contracts.Converter.__name__, edgewright.errors.GateFailed.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["Converter", "GateFailed"]


@pytest.mark.parametrize("module", [edgewright, contracts], ids=["edgewright", "contracts"])
def test_a_type_checker_sees_what_is_there(module):
    """The names of the block that only it reads come from the modules that they come from when they are used."""
    (block,) = (node for node in ast.parse(Path(module.__file__).read_text()).body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom) and node.module not in ("typing", "edgewright")
        for alias in node.names
    }
    homes = {name: home.partition(":") for name, home in module._HOMES.items()}
    assert seen == {name: (f"{module.__name__}.{home}", own or name) for name, (home, _, own) in homes.items()}


def test_no_public_name_is_one_of_python():
    import builtins

    assert not set(edgewright.__all__) & set(dir(builtins))


def modules_after(code, *argv):
    """The modules that a fresh process has after some code, beyond those that it has before."""
    line = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", line, *map(str, argv)], capture_output=True, check=True, text=True)
    return done.stdout.splitlines()


def test_importing_the_package_imports_two_modules_of_it_and_no_other():
    assert modules_after("import edgewright") == ["edgewright", "edgewright._version"]


ROOMS_OF_AN_ANSWER = {
    "_version", "bundle", "contracts", "errors", "inference", "registry", "runtimes", "statistics", "system", "tasks",
    "text",
}  # fmt: skip
MODULES_OF_AN_ANSWER = 53
"""As many as there were before results showed themselves: a first answer waits for each."""


def test_a_first_answer_imports_no_more_of_edgewright_than_it_needs(live):
    code = "from edgewright import load\nload(sys.argv[1], format='onnx')('a good film')"
    edgewright.load(live, format="onnx").close()  # what this machine never saw is opened in a child first
    own = [name for name in modules_after(code, live) if name.startswith("edgewright.")]
    assert {name.split(".")[1] for name in own} == ROOMS_OF_AN_ANSWER
    assert not {f"edgewright.system.{name}" for name in ("markup", "progress", "shown")} & set(own)
    assert len(own) <= MODULES_OF_AN_ANSWER


# signatures


def signatures():
    for name, function in FUNCTIONS.items():
        yield name, function
    for name, kind in CLASSES.items():
        yield name, kind
        for own, method in vars(kind).items():
            bare = getattr(method, "__func__", method)
            if inspect.isfunction(bare) and not own.startswith("_"):
                yield f"{name}.{own}", bare


def test_no_signature_shows_an_address():
    shown = {name: str(inspect.signature(thing)) for name, thing in signatures() if _has_signature(thing)}
    assert {name: words for name, words in shown.items() if " at 0x" in words or "lambda" in words} == {}
    assert "progress: 'Callable[[str], None]' = silent" in shown["build"]
    assert len(shown) > len(FUNCTIONS)


def _has_signature(thing):
    try:
        inspect.signature(thing)
    except ValueError:
        return False
    return True


def test_who_does_not_listen_is_one_object():
    assert repr(silent) == "silent"
    assert silent("words") is silent("two", "words") is None
    assert copy.deepcopy(silent) is silent
    assert pickle.loads(pickle.dumps(silent)) is silent  # noqa: S301 - our own bytes


def test_a_bundle_is_given_as_one_or_by_its_directory():
    """Whatever a function calls it: of each that takes one."""
    takers = {name for name, f in FUNCTIONS.items() if "bundle" in inspect.signature(f).parameters}
    kinds = {name: inspect.signature(FUNCTIONS[name]).parameters["bundle"].annotation for name in takers}
    assert {name: kind for name, kind in kinds.items() if set(kind.split(" | ")) != {"Bundle", "str", "Path"}} == {
        "choose": "Bundle"  # the very bundle that was raced
    }
    assert takers >= {"bench", "estimate", "flash", "inspect", "load", "pack", "profile", "race", "serve", "verify"}


# results


PI = edgewright.board_profile("raspberry-pi-4")
SCORED = Scored(Score("accuracy", 91.25, 872, EVIL), 89.0, 93.0, tuple(map(float, range(1000))))
ROW = row(samples(3.0), artifact=ARTIFACT, tokens=128, bundle=EVIL[:900])
RUN = run(ROW, row(samples(4.0)))
SIDE = Side(EVIL, "onnx/int8", 10, None, 10, 9, SCORED)
MANIFEST = manifest.Manifest(
    task="text-classification",
    settings=manifest.Settings(max_length=8, labels=(EVIL, "b")),
    artifacts=(ARTIFACT,) * 9,
    files=(manifest.File("golden.json", 3, "0" * 64),),
    source=manifest.Source("Bert", 1, "0" * 64),
    toolchain={},
)
TARGET = Target(None, SimpleNamespace(name="local"), ARTIFACT, 2, (32, 128))
TRIAL = edgewright.Trial(3, "complete", {"layers": 2, EVIL[:20]: 1}, (0, 1), "", 91.0, 2.5, 10**6)
FACTS = Facts(
    model=EVIL, product="", architecture="aarch64", cores=(Cores("Cortex-A72", (0, 1, 2, 3)),), instructions=("neon",),
    ram_mib=4096, os="Debian", kernel="6", python="3.11", executable="python3", packages=(),
    problem="", **dict.fromkeys(("temperature_c", "clock_mhz", "governor", "load", "free_ram_mib", "throttled")),
    disk_free_bytes=None,
)  # fmt: skip
LISTED = {"root": EVIL, "current": "r", "active": "r", "previous": "", "trial": "", "sequence": 1, "engines": ()}
LISTED["releases"] = (Release("r", "active", 1, 10, EVIL),)
ATTENTION = edgewright.Attention((EVIL, "b"), (True, False), np.full((2, 3, 2, 2), 0.5, np.float32))
NEEDS = {"parts_mib": {"python": 10.0, "engine": 20.0}, "fits_mib": 1024, "threads": 4, "bound_ms": 2.5}
RESULTS = [
    ARTIFACT,
    MANIFEST,
    edgewright.Bundle(Path(EVIL), MANIFEST),
    ROW,
    RUN,
    edgewright.Comparison(ROW, ROW, Ratio(1.0, 0.9, 1.1, 5)),
    edgewright.Entrant(TARGET, [ROW], 5, EVIL),
    edgewright.Entrant(TARGET, []),
    FOUND,
    *edgewright.shares(FOUND),
    edgewright.Replay(ARTIFACT, "onnxruntime", 3, 0.0),
    edgewright.Replay(ARTIFACT, "", 0, 0.0, skipped=EVIL),
    edgewright.Evaluation(ARTIFACT, (SCORED, SCORED, SCORED), 10),
    edgewright.Evaluation(None, (SCORED,), 10),
    edgewright.Difference(SIDE, SIDE, Outputs(3, 1.0, 0.1, 0.1, 0.99), (1.0, 0.5, 1.5), Ratio(1.0, 0.9, 1.1, 5)),
    edgewright.Flashed(
        EVIL, changed=True, version=3, sent=("a",) * 200, sent_bytes=10, rows=({"format": "onnx"},) * 9, left=EVIL
    ),
    edgewright.Outcome("ssh://board", 1.0, error=GateFailed(EVIL)),
    edgewright.Outcome("ssh://board", 1.0, edgewright.Flashed("r", changed=False, version=1)),
    edgewright.Status(
        **LISTED,
        free_bytes=1,
        signed_only=False,
        newest=0,
        keys=0,
        fleets=(EVIL,),
        journal=(Event(EVIL, "", 1),) * 99,
        chain=Chain(1, EVIL, EVIL),
        service=None,
    ),
    edgewright.Listing(**LISTED),
    edgewright.Rolled("r", EVIL, ""),
    edgewright.Rekeyed(1, 2, 1, (EVIL,) * 9, (EVIL,)),
    edgewright.Count(ARTIFACT, "onnxruntime", "1", 16, Tally(1, 10**9, 0, 0, 0)),
    edgewright.Estimate(ARTIFACT, "onnxruntime", measured=True, **NEEDS),
    edgewright.ProbedBoard(FACTS, Match("raspberry-pi-4", "name"), emulated=False),
    PI,
    edgewright.Stage(EVIL, 91.0, 10, 9, 100, 50, 2.5, 1.0),
    TRIAL,
    edgewright.Result(Path(EVIL), (TRIAL,) * 30, (TRIAL, TRIAL), TRIAL, "onnx/int8", {EVIL: 3}),
    edgewright.Trained(Path(EVIL), "accuracy", 50.0, 91.0, 90.0, 60, 100, 10**7, 1.0, 1.0),
    edgewright.TrainedTokenizer(Path(EVIL), "bpe", 1000, 99, 1.5, 0.0),
    edgewright.Pretrained(Path(EVIL), 1.5, 0.6, 90, 100, 10**7, 10**6, 10**5, 10**4, 9.0, 1e5, 0.4, EVIL),
    ATTENTION,
    edgewright.Probed("texts", (EVIL, "b"), 10, 5, 50.0, ()),
    edgewright.Report(RUN, RUN, (FOUND,)),
    edgewright.History((RUN, RUN)),
    edgewright.Identity("model", EVIL, EVIL, EVIL),
]
SETTINGS = {
    *("Bounds", "DecoderShape", "Distillation", "Install", "Limits", "Plan", "PretrainingRecipe", "Recipe", "Rules"),
    *("SearchLimits", "Shape", "Target"),
}
"""What is given to a function: written as it is made."""
WORKERS = {"Board", "Client", "EdgewrightError", "Pipeline", "Results", "Source"}
"""Have their own tests."""


def test_every_result_is_among_those_that_are_looked_at():
    wanted = {kind for name, kind in CLASSES.items() if "." not in name and name not in SETTINGS | WORKERS}
    assert wanted == {type(result) for result in RESULTS}


@pytest.mark.parametrize("result", [*RESULTS, SCORED, SIDE, TARGET, FACTS, FOUND.trace, Part(EVIL, 1.0, 2.0, EVIL)])
def test_a_result_is_a_short_line_at_a_prompt(result):
    words = repr(result)
    assert words.startswith(f"<{type(result).__name__} ")
    assert words.endswith(">")
    assert len(words) <= MOST
    assert words.isprintable()


def test_a_result_says_the_main_thing():
    words = {type(result).__name__: repr(result) for result in RESULTS}
    assert "onnx/fp32, 128 tokens, 1 thread" in words["Row"]
    assert "grade" in words["Row"]
    assert words["Run"].startswith("<Run 2 rows on local, ")
    assert "accuracy 91.25 (89.00 to 93.00)" in words["Evaluation"]
    assert "text-classification, onnx/fp32" in repr(edgewright.Bundle(Path("sentiment"), MANIFEST))


class Tags:
    """The elements of a piece of HTML, which must be balanced."""

    def __init__(self, words):
        from html.parser import HTMLParser

        self.seen, self.open, self.text = [], [], ""
        parser = HTMLParser()
        parser.handle_starttag, parser.handle_endtag, parser.handle_data = self._start, self._end, self._said
        parser.feed(words)
        assert self.open == []

    def _start(self, tag, _):
        self.seen.append(tag)
        self.open.append(tag)

    def _end(self, tag):
        assert self.open.pop() == tag

    def _said(self, text):
        self.text += text


TABLES = [result for result in RESULTS if hasattr(result, "_repr_html_")]
LISTS = [Results([result, result]) for result in RESULTS if hasattr(result, "cells")]


def test_the_results_that_have_a_table():
    assert {type(result).__name__ for result in TABLES} == {
        "Bundle", "History", "Manifest", "Probed", "Profile", "Report", "Result", "Run",
    }  # fmt: skip
    assert {type(found[0]).__name__ for found in LISTS} == {
        "Artifact", "Comparison", "Entrant", "Estimate", "Evaluation", "Replay", "Row", "Share", "Stage", "Trial",
    }  # fmt: skip


FRAMED = ("History", "Probed", "Report")


@pytest.mark.parametrize("result", [one for one in TABLES if type(one).__name__ not in FRAMED] + LISTS)
def test_a_table_of_a_notebook_cannot_be_broken_by_what_it_shows(result):
    page = Tags(result._repr_html_())
    assert "script" not in page.seen
    assert "table" in page.seen
    assert page.seen.count("tr") >= 2


def test_a_report_in_a_notebook_keeps_its_style_to_itself():
    for made in (edgewright.Report(run(ROW)), edgewright.History((RUN, RUN))):
        assert Tags(made._repr_html_()).seen == ["iframe"]


def test_a_list_of_results_is_a_list():
    found = edgewright.shares(FOUND)
    assert isinstance(found, list)
    assert found == list(found)
    assert repr(found).splitlines()[1] == f" {found[1]!r},"
    assert Results()._repr_html_() is None
    assert repr(Results()) == "[]"


def test_columns_in_which_nothing_stands_are_left_out():
    page = Tags(Results([row(samples(3.0))])._repr_html_())
    assert "score" not in page.text
    assert "median, ms" in page.text


def test_a_settings_object_is_written_as_it_is_made():
    assert repr(edgewright.Rules(max_loss=1.0)).startswith("Rules(max_loss=1.0")


# a report, an inspection: the functions that commands used to keep to themselves


def test_a_report_is_made_of_runs_or_of_their_files(tmp_path):
    from edgewright.measure import profile, rows

    rows.write(run(ROW), tmp_path / "run.json")
    profile.write(FOUND, tmp_path / "profile.json")
    found = edgewright.report(tmp_path / "run.json", [str(tmp_path / "profile.json")], baseline=run(ROW))
    assert found == edgewright.report(run(ROW), [FOUND], baseline=tmp_path / "run.json")
    assert found.html().startswith("<!doctype html>")
    assert "onnx/fp32" in found.markdown()
    with pytest.raises(DataError, match="the run has no rows"):
        edgewright.report(run())


def test_a_bundle_is_inspected_by_its_directory_or_as_it_is(bundle_dir):
    opened = edgewright.Bundle.open(bundle_dir)
    assert edgewright.inspect(bundle_dir) == edgewright.inspect(str(bundle_dir)) == opened.manifest
    assert edgewright.inspect(opened) is opened.manifest


# a pipeline


TEXTS = ["good", "the river had risen in the night", "not good"]


def test_a_pipeline_says_what_runs_where(live):
    pipeline = edgewright.load(live, threads=1)
    assert repr(pipeline) == "<Pipeline text-classification, onnx/fp32, onnxruntime, 1 thread>"
    pipeline.close()
    assert repr(pipeline) == "<Pipeline text-classification, onnx/fp32, onnxruntime, 1 thread, closed>"


def test_a_with_block_gives_the_session_back(live):
    with edgewright.load(live) as pipeline:
        assert [answer["label"] for answer in pipeline(TEXTS)] == ["negative", "positive", "negative"]
        session = weakref.ref(pipeline.session)
        assert session() is not None
    assert session() is None
    for call in (lambda: pipeline("good"), lambda: pipeline(TEXTS), lambda: pipeline.row("good")):
        with pytest.raises(UsageError, match=r"^the pipeline is closed; .*load the bundle again"):
            call()
    pipeline.close()


def test_a_with_block_ends_by_an_error_too(live):
    with pytest.raises(ZeroDivisionError), edgewright.load(live) as pipeline:
        1 / 0  # noqa: B018
    with pytest.raises(UsageError, match="closed"):
        pipeline("good")


def test_a_session_is_told_that_it_is_given_back(live):
    pipeline, told = edgewright.load(live), []
    pipeline.session.close = lambda: told.append("closed")
    pipeline.close()
    assert told == ["closed"]


def test_a_session_behind_another_gives_both_back():
    from edgewright.runtimes._swap import Swapping

    told = []

    class Session(contracts.Session):
        inputs = outputs = ()

        def run(self, feeds):
            return dict(feeds)

        def close(self):
            told.append(self)

    first, faster = Session(), Session()
    session = Swapping(first, lambda: faster, lambda _: True)
    session.begin(lambda _: None)
    assert session.wait(10)
    session.close()
    assert {*told} == {first, faster}
    assert len(told) == 2


@pytest.fixture
def pipeline(live):
    with edgewright.load(live) as found:
        yield found


COLUMNS = {
    "a generator": lambda: (text for text in TEXTS),
    "a map": lambda: map(str, TEXTS),
    "a deque": lambda: deque(TEXTS),
    "the values of a dictionary": lambda: dict(enumerate(TEXTS)).values(),
    "an array": lambda: np.array(TEXTS),
    "an array of objects": lambda: np.array(TEXTS, object),
    "a Series": lambda: pytest.importorskip("pandas").Series(TEXTS, index=[7, 7, 9]),
    "an Index": lambda: pytest.importorskip("pandas").Index(TEXTS),
    "a column": lambda: pytest.importorskip("pandas").DataFrame({"text": TEXTS, "n": [1, 2, 3]})["text"],
    "a categorical column": lambda: pytest.importorskip("pandas").Series(TEXTS, dtype="category"),
    "an array of Arrow": lambda: pytest.importorskip("pyarrow").array(TEXTS),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_is_a_list_of_items(pipeline, column):
    assert pipeline(COLUMNS[column]()) == pipeline(TEXTS)


def test_one_text_is_one_item_whatever_its_class(pipeline):
    assert pipeline(np.array(TEXTS)[1]) == pipeline(TEXTS[1])
    assert pipeline(np.str_("good")) == pipeline("good")


def test_a_pair_is_told_by_its_names(pipeline):
    pairs = [{"text": text, "text_pair": "had risen"} for text in TEXTS]
    assert pipeline(pairs) == [pipeline(pair) for pair in pairs]
    assert pipeline(pairs[0])["label"] in ("negative", "positive")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (lambda: np.array("good"), r"a ndarray of the shape \(\) is no column"),
        (lambda: np.array([TEXTS, TEXTS]), r"a ndarray of the shape \(2, 3\) is no column"),
        (lambda: np.array(["a", 1, "b"], object), "row 1 has '1', a int, where a text should be"),
        (lambda: np.array([1.0, 2.0]), "row 0 has '1.0', a float"),
        (lambda: ["a", math.nan], "row 1 has 'nan', a float"),
        (lambda: (text for text in ["a", "b", None]), "row 2 has 'None', a NoneType"),
        (lambda: [{"text": "a", "text_pair": "b"}, {"text": "a", "text_pair": math.nan}], "row 1 has 'nan', a float"),
        (lambda: zip(TEXTS, TEXTS, strict=True), "row 0 is a tuple of 2, and no item"),
        (lambda: pytest.importorskip("pandas").Series(["a", None, "b"]), "row 1 has "),
        (lambda: pytest.importorskip("pandas").Series(["a", "b"]).reindex([0, 1, 5]), "row 2 has 'nan', a float"),
        (lambda: pytest.importorskip("pandas").DataFrame({"a": TEXTS, "b": TEXTS}), r"a DataFrame of the shape \(3, 2"),
    ],
)
def test_a_column_that_is_none_is_told_with_its_row(pipeline, column, words):
    with pytest.raises(DataError, match=f"^{words}"):
        pipeline(column())


def test_a_bad_row_of_a_list_is_told_before_the_first_is_answered(pipeline):
    asked, run_it = [], pipeline.session.run
    pipeline.session.run = lambda feeds: asked.append(feeds) or run_it(feeds)
    with pytest.raises(DataError, match="row 2"):
        pipeline([*TEXTS[:2], None])
    assert asked == []
    stream = pipeline.stream(["good", None])
    assert [next(stream)] == pipeline("good")
    with pytest.raises(DataError, match="row 1"):
        next(stream)


def test_arrays_are_known_without_their_libraries():
    own = ast.parse(Path(sys.modules["edgewright.inference.pipeline"].__file__).read_text())
    imported = {a.name.split(".")[0] for node in ast.walk(own) if isinstance(node, ast.Import) for a in node.names}
    assert imported == set()


# the rest


def test_a_source_is_scored_by_evaluate_too(source_dir, tmp_path):
    (tmp_path / "rows.tsv").write_text("sentence\tlabel\na good film\tpositive\n")
    with pytest.raises(UsageError, match="is no bundle: it has no formats and precisions"):
        edgewright.evaluate(source_dir, tmp_path / "rows.tsv", precision="int8")


def test_asking_a_socket_where_nothing_serves(tmp_path):
    from edgewright.errors import DeviceError

    with pytest.raises(DeviceError, match="no model is served at"):
        edgewright.ask(tmp_path / "socket", "good")


def test_an_estimate_takes_a_directory_and_the_name_of_a_profile(bundle_dir):
    by_name = edgewright.estimate(bundle_dir, "raspberry-pi-4", tokens=8)
    assert by_name == edgewright.estimate(edgewright.Bundle.open(bundle_dir), PI, tokens=8)
    assert re.match(r"<Estimate onnx/fp32 on onnxruntime, \d+ MiB", repr(by_name[0]))


def test_help_of_build_has_no_address():
    code = "import edgewright; help(edgewright.build)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "progress: 'Callable[[str], None]' = silent" in done.stdout
    assert " at 0x" not in done.stdout


def test_modules_are_no_functions():
    assert {name for name in edgewright.__all__ if isinstance(getattr(edgewright, name), ModuleType)} == {
        "contracts", "errors", "testing",
    }  # fmt: skip
