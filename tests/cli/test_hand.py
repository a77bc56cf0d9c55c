"""What a hand expects of a command line: sections, examples, the environment, a project's file, typos."""

import json
import logging
import os
import re
import shlex
import subprocess
import time

import click
import pytest

from edgewright import cli, registry
from edgewright.boards.connect import connect
from edgewright.cli._notices import show
from edgewright.cli._options import typed
from edgewright.cli._progress import status
from edgewright.system.interpreter import here


def leaves(group=cli._edgewright, way=()):
    """Every command that does something, with the words that lead to it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from leaves(command, (*way, name)) if isinstance(command, click.Group) else [((*way, name), command)]


LEAVES = dict(leaves())


# help


def test_every_command_stands_in_one_section():
    listed = [name for _, section in cli._Commands.sections for name in section]
    assert sorted(listed) == sorted(registry.names("cli"))


@pytest.mark.parametrize("columns", ["80", "120"])
def test_summaries_are_whole_sentences(run, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run("--help")
    assert "..." not in out.partition("\n")[2]
    assert "Check every hash of BUNDLE and replay its golden cases in every installed engine." in " ".join(out.split())


@pytest.mark.parametrize("way", LEAVES, ids=" ".join)
def test_the_example_of_a_command_is_one_that_it_takes(way):
    command = LEAVES[way]
    assert command.epilog, f"{' '.join(way)} has no example"
    first, *words = shlex.split(command.epilog.rpartition("\n")[2])
    assert (first, tuple(words[: len(way)])) == ("edgewright", way)
    root = cli._edgewright.make_context("edgewright", [], resilient_parsing=True)
    command.make_context(way[-1], words[len(way) :], parent=root)


@pytest.mark.parametrize(("command", "words"), [("build", "tflite, torchscript]"), ("bench", "int8-static, int4]")])
def test_help_lists_formats_and_precisions(run, command, words):
    _, out, err = run(command, "-h")
    assert words in " ".join(out.split()), err
    assert command == "bench" or "text-classification" in out


def test_options_of_a_kind_of_model_stand_in_its_section(run):
    general, encoder, decoder, translator = (
        run("run", "-h")[1].partition(f"{title}:\n")[2].partition("\n\n")[0]
        for title in ("Options", "An encoder", "A decoder", "A translator")
    )
    assert "--workers" in general
    assert "BUNDLE  " not in general, "an argument is no option"
    assert "--top-k" in encoder
    assert "The same draws again." in decoder
    assert "--glossary" in translator
    assert not {"--seed", "--top-k", "--glossary"} & set(general.split())


@pytest.mark.parametrize("group", ["export", "keys", "devices", "analyze", "tokenizer"])
def test_a_group_that_is_asked_for_nothing_shows_its_help(run, group):
    code, out, err = run(group)
    assert (code, out) == (2, "")
    assert f"\n\nCommands:\n  {cli._edgewright.get_command(None, group).list_commands(None)[0]} " in err
    assert "..." not in err.partition("\n")[2]


@pytest.mark.parametrize("way", LEAVES, ids=" ".join)
def test_what_is_missing_is_told_with_an_example(run, way):
    """Of every command that cannot go on without one."""
    command = LEAVES[way]
    if not any(one.required for one in command.params):
        return
    code, _, err = run(*way)
    assert code == 2
    assert f"As in: {command.epilog.rpartition(chr(10))[2].strip()}" in err
    assert f"edgewright {' '.join(way)} --help says all" in err


# short options, the environment


def test_short_options(run, bundle_dir, tmp_path):
    assert run("-V")[1].startswith("edgewright, version ")
    code, _, err = run("pack", bundle_dir, "-o", tmp_path / "a.tar", "-q")
    assert (code, err) == (0, "")
    for words in (("-v", "inspect", "gone"), ("inspect", "gone", "--verbose"), ("inspect", "gone", "--debug")):
        assert "Traceback" in run(*words)[2]
    assert "Traceback" not in run("inspect", "gone")[2]


@pytest.mark.parametrize("way", LEAVES, ids=" ".join)
def test_every_command_is_quiet_and_speaks_json(way):
    options = {name for one in LEAVES[way].params for name in one.opts}
    assert {"-q", "--json"} <= options


def test_quiet_leaves_out_how_a_file_was_read(run, live, tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_text("good\nbad\n")
    notices = logging.getLogger("edgewright")
    for name, value in (("handlers", []), ("level", notices.level), ("propagate", True)):
        monkeypatch.setattr(notices, name, value)
    show(verbose=False)
    asked = ("run", live, "--input", tmp_path / "texts.txt")
    assert "texts.txt: a text a line" in run(*asked)[2]
    code, out, err = run(*asked, "-q")
    assert (code, err, len(out.splitlines())) == (0, "", 2)


def test_a_text_behind_two_dashes_is_no_option(run, live):
    code, out, _ = run("run", live, "--", "-v")
    assert (code, json.loads(out)["text"]) == (0, "-v")
    code, _, err = run("run", live, "-1 stars")
    assert code == 2
    assert "No such option '-1'. What begins with - and is no option comes behind --" in err
    assert "behind --" not in run("inspect", live, "--nonsense")[2]


def test_an_option_in_the_environment_counts_less_than_a_typed_one(run, live, monkeypatch):
    monkeypatch.setenv("EDGEWRIGHT_RUN_TOP_K", "2")
    assert len(json.loads(run("run", live, "good")[1])["answer"]) == 2
    assert len(json.loads(run("run", live, "good", "--top-k", "1")[1])["answer"]) == 1
    monkeypatch.setenv("EDGEWRIGHT_VERBOSE", "1")
    assert "Traceback" in run("inspect", "gone")[2]


# edgewright.toml


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_options_variable_is_called_as_it_is_typed(run, live, monkeypatch):
    """`--format` stands in FORMAT, whatever its name in Python: FORMAT_ alone was heard, so with --input, --json."""
    monkeypatch.setenv("EDGEWRIGHT_RUN_FORMAT", "tensorrt")
    assert "has no artifact tensorrt/*" in run("run", live, "good")[2]
    monkeypatch.setenv("EDGEWRIGHT_RUN_FORMAT", "onnx")
    monkeypatch.setenv("EDGEWRIGHT_RUN_JSON", "1")
    assert json.loads(run("run", live, "good")[1])["rows"]


def test_a_projects_file_gives_options_that_typed_ones_and_the_environment_replace(run, desk, bundle_dir, monkeypatch):
    (desk / "edgewright.toml").write_text("[bench]\ntokens = [16, 4000]\n")
    code, _, err = run("bench", bundle_dir)
    assert code == 2
    assert err.startswith("edgewright: edgewright.toml gives tokens\n")
    assert "lengths 16, 4000 were asked" in err
    assert "lengths 7000 were asked" in run("bench", bundle_dir, "--tokens", "7000")[2]
    monkeypatch.setenv("EDGEWRIGHT_BENCH_TOKENS", "5000")
    assert "lengths 5000 were asked" in run("bench", bundle_dir)[2]
    assert "edgewright.toml" not in run("bench", bundle_dir, "-q")[2]
    assert "edgewright.toml" not in run("inspect", bundle_dir)[2]


def test_a_kept_run_names_what_was_not_typed_too(monkeypatch):
    command = cli._edgewright.get_command(None, "bench")
    monkeypatch.setenv("EDGEWRIGHT_BENCH_ROOFLINE", "1")
    monkeypatch.setenv("EDGEWRIGHT_BENCH_THREADS", "1,2")
    monkeypatch.setattr("sys.argv", ["edgewright", "bench", "my model", "--tokens", "8"])
    root = cli._edgewright.make_context("edgewright", [], resilient_parsing=True, default_map={"bench": {"batch": "4"}})
    with command.make_context("bench", ["my model", "--tokens", "8"], parent=root):
        assert typed() == "edgewright bench 'my model' --tokens 8 --threads=1,2 --batch=4 --roofline"


def test_a_required_option_may_stand_in_it(run, desk):
    (desk / "edgewright.toml").write_text('[build]\nout = "made"\nprecision = ["int8", "int-4"]\nmemory-mib = 4096\n')
    assert "did you mean int4?" in run("build", "gone")[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[biuld]\n", "no table 'biuld', did you mean build?; it has build, bench"),
        ("[bench]\ntoken = 1\n", "bench has no option 'token', did you mean tokens?"),
        ("bench = 1\n", "bench is no table; write [bench] and its options below"),
        ("[bench]\ntokens = {a = 1}\n", "bench.tokens is {'a': 1}; give a text, a number"),
        ("[bench", "is not TOML"),
    ],
)
def test_what_is_wrong_in_it_is_said(run, desk, text, words):
    (desk / "edgewright.toml").write_text(text)
    code, _, err = run("bench", "gone")
    assert code == 2
    assert "edgewright.toml" in err
    assert words in err


@pytest.mark.parametrize("name", ["allow-divergence", "allow_divergence", "force"])
def test_what_lets_a_gate_fail_or_replaces_what_is_there_is_typed(run, desk, name):
    (desk / "edgewright.toml").write_text(f"[build]\nout = 'made'\n{name} = true\n")
    code, _, err = run("build", "gone")
    assert code == 2
    assert f"build.{name} is given by no file; type --{name.replace('_', '-')}" in err


# typos and short names


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["biuld"], "no command 'biuld', did you mean build?"),
        (["xyzzy"], "no command 'xyzzy'; see edgewright --help"),
        (["devices", "shwo"], "no command 'shwo', did you mean show?"),
        (["devices", "show", "rasberry-pi-4"], "did you mean raspberry-pi-4?"),
        (["build", "m", "--out", "o", "--format", "tflit"], "unknown format 'tflit', did you mean tflite?"),
        (["flash", "b", "shh://pi"], "unknown transport 'shh', did you mean ssh?"),
    ],
)
def test_the_nearest_name_is_told(run, argv, words):
    code, _, err = run(*argv)
    assert code == 2
    assert words in err


@pytest.mark.parametrize(
    ("short", "board"), [("pi4", "Raspberry Pi 4 Model B"), ("Pi-5", "Raspberry Pi 5"), ("zero2w", "Zero 2 W")]
)
def test_a_board_is_known_by_its_short_name(run, short, board):
    assert board in run("devices", "show", short)[1]


def test_a_short_name_of_several_boards_is_none(run):
    assert run("devices", "show", "pi")[0] == 2


@pytest.mark.parametrize("address", ["pi4", "pi@pi4.local", "kitchen:2222", "user@10.0.0.7"])
def test_what_ssh_takes_needs_no_scheme(address):
    way = connect(address)
    assert type(way).__name__ == "Ssh"
    assert way.target == address.partition(":")[0]


# completion


def completed(words, at):
    given = {**os.environ, "_EDGEWRIGHT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    done = subprocess.run(here("edgewright"), env=given, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_a_shell_completes_commands_formats_and_profiles():
    assert completed("edgewright un", 1) == ["uninstall", "unpack"]
    assert completed("edgewright bench b --format t", 4) == ["tensorrt", "tflite", "torchscript"]
    assert completed("edgewright build m --precision fp32,int8", 4) == ["fp32,int8", "fp32,int8-static"]
    assert "raspberry-pi-4" in completed("edgewright build m --device rasp", 4)


# pipes


def piped(line, bundle):
    script = line.replace("edgewright", shlex.join(here("edgewright"))).replace("BUNDLE", shlex.quote(str(bundle)))
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_texts_come_through_a_pipe(live):
    done = piped("printf 'good\\nbad\\n' | edgewright run BUNDLE", live)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["good", "bad"]
    done = piped("edgewright run BUNDLE", live)
    assert (done.returncode, done.stdout) == (2, "")
    assert "give texts, --input, or texts on standard input" in done.stderr


def test_a_reader_that_has_enough_ends_a_run_well(live):
    done = piped("yes good | edgewright run BUNDLE | head -1; exit ${PIPESTATUS[1]}", live)
    assert (done.returncode, done.stderr) == (0, "")


# progress


def test_counted_steps_are_a_line_a_second_where_there_is_no_terminal(capsys, monkeypatch):
    clock = iter([*(at / 100 for at in range(400))])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with click.Context(click.Command("train")):
        show = status(quiet=False)
        for step in range(150):
            show(f"step {step} of 150, loss 0.{step}")
        show("write the model")
    lines = [line.split("s  ")[1] for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "step 0 of 150, loss 0.0"
    assert lines[-1] == "write the model"
    assert len(lines) < 9


def test_stages_are_all_said(capsys):
    with click.Context(click.Command("build")):
        show = status(quiet=False)
        for phrase in ("load the model", "onnx: export", "onnx int8: quantize"):
            show(phrase)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_no_line_of_help_names_what_is_not_there():
    """A word in backticks of a summary is a command."""
    for way, command in LEAVES.items():
        for word in re.findall(r"`([a-z]+)`", command.help or ""):
            assert word in registry.names("cli"), (way, word)
