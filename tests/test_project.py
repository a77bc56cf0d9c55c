"""What stands around the code: workflows, images, the site, how it is cited; each by a tool where one is installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgewright
from edgewright.boards.wheels import PYTHONS
from edgewright.cli import _edgewright
from edgewright.system.toml import read_toml

ROOT = Path(__file__).parents[1]
PROJECT = read_toml(ROOT / "pyproject.toml")[1]["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / ".github/actions/bench/action.yml"
IMAGES = ("Dockerfile", "Dockerfile.board")


def read(path):
    return pytest.importorskip("yaml").safe_load(path.read_text())


def tool(name):
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return found or pytest.skip(f"{name} is not installed")


def test_every_python_that_is_promised_is_tried():
    named = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    matrix = read(ROOT / ".github/workflows/tests.yml")["jobs"]["every-python"]["strategy"]["matrix"]["python"]
    assert tuple(named) == tuple(matrix) == PYTHONS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_runs_is_there(path):
    jobs = read(path)["jobs"].values()
    assert all((ROOT / job["uses"]).is_file() for job in jobs if "uses" in job)
    steps = [step for job in jobs for step in job.get("steps", ())]
    for line in (line for step in steps for line in step.get("run", "").splitlines()):
        for name in re.findall(r"tools/\w+", line):
            assert os.access(ROOT / name, os.X_OK), name
        for extra in re.findall(r"\[([\w,]+)\]", line):
            assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_workflows_as_their_linter_has_them():
    found = list(map(str, WORKFLOWS))
    done = subprocess.run([tool("actionlint"), *found], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_workflow_may_write_or_keeps_a_password():
    for path in WORKFLOWS:
        tree = read(path)
        assert tree["permissions"] == {"contents": "read"}
        assert "secrets." not in path.read_text()
    assert read(ROOT / ".github/workflows/publish.yml")["jobs"]["pypi"]["permissions"] == {"id-token": "write"}


def test_the_action_gives_bench_options_that_it_has():
    command = _edgewright.get_command(None, "bench")
    options = {word for parameter in command.params for word in parameter.opts}
    (step,) = (step for step in read(ACTION)["runs"]["steps"] if step.get("id") == "bench")
    assert set(re.findall(r"--[a-z-]+", step["run"])) <= options
    for name in re.findall(r"EDGEWRIGHT_BENCH_(\w+)", " ".join(step["env"])):
        assert f"--{name.lower()}" in options


@pytest.mark.slow
def test_the_action_measures_and_compares(live, tmp_path):
    """Its own script, with one short process, on a bundle; then against what it kept."""
    (step,) = (step for step in read(ACTION)["runs"]["steps"] if step.get("id") == "bench")
    program = tmp_path / "edgewright"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgewright "$@"\n')
    program.chmod(0o755)
    short = {"EDGEWRIGHT_BENCH_PROCESSES": "1", "EDGEWRIGHT_BENCH_RUNS": "3", "EDGEWRIGHT_BENCH_LEAST_MS": "0"}
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    for baseline in ("", str(tmp_path / "base.json")):
        given = {"BUNDLE": str(live), "BASELINE": baseline, "FAIL_OVER": "9999%", "EDGEWRIGHT_BENCH_TOKENS": "8"}
        env = {
            **os.environ,
            **short,
            **files,
            **given,
            "RUNNER_TEMP": str(tmp_path),
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        }
        argv = ["bash", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shutil.copy(tmp_path / "run.json", tmp_path / "base.json")
    assert "| onnx/fp32 |" in (tmp_path / "summary.md").read_text()
    assert f"run={tmp_path}/run.json" in (tmp_path / "output").read_text()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_holds_what_the_package_is_made_of(name):
    lines = (ROOT / name).read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for room in ("sdk", "converters", "runtimes", "devices"):
        assert f"COPY {room} {room}" in lines
        assert f"!{room}" in ignored
    for pin in re.findall(r"torch==[\d.]+", lines):
        assert pin in PROJECT["optional-dependencies"]["torch"]
    assert "USER 1000:1000" in lines


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_as_its_linter_has_it(name):
    done = subprocess.run(
        [tool("hadolint"), "--no-color", str(ROOT / name)], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stdout.splitlines() if "DL3066" not in line] == []  # the user has a number already


def test_the_citation_is_of_this_version():
    cited = read(ROOT / "CITATION.cff")
    assert cited["version"] == edgewright.__version__
    assert cited["license"] == PROJECT["license"]


def test_the_hooks_before_a_commit_are_those_of_the_gate():
    (ruff,) = (
        one for one in read(ROOT / ".pre-commit-config.yaml")["repos"] if one["repo"].endswith("ruff-pre-commit")
    )
    assert f"ruff=={ruff['rev'].removeprefix('v')}" in PROJECT["optional-dependencies"]["dev"]


@pytest.mark.slow
def test_the_site_is_built_and_no_link_of_it_leads_nowhere(tmp_path):
    pytest.importorskip("mkdocstrings")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    done = subprocess.run([ROOT / "tools/site", "-d", tmp_path], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.html")}
    assert len(pages) > 15
    for name in ("build", "load", "bench", "flash"):
        assert f".{name}" in pages["api/index.html"]
    for name, page in pages.items():
        for link in re.findall(r'href="([^"#:]+)(?:#[^"]*)?"', page) if name != "404.html" else ():
            target = (tmp_path / name).parent / link
            assert target.exists(), f"{name} leads to {link}"
