"""The examples run, as they stand there, in their own directory of a checkout, where Jupyter runs them."""

import json
import os
import subprocess
import sys

import pytest
from conftest import OFFLINE, ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def cells(path, kind):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_its_last_lines_show_themselves(path, tmp_path):
    """Each cell is run as a kernel would: what its last line gives is shown, by its table where it has one."""
    pytest.importorskip("torch")
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    home = tmp_path / "examples"
    home.mkdir()
    code = [
        "import ast",
        "def show(value):",
        "    print((getattr(value, '_repr_html_', None) or value.__repr__)())",
        "space = {}",
    ]
    code += [
        "for cell in CELLS:",
        "    tree = ast.parse(cell)",
        "    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None",
        "    exec(compile(tree, 'cell', 'exec'), space)",
        "    if last: show(eval(compile(ast.Expression(last.value), 'cell', 'eval'), space))",
    ]
    script = f"CELLS = {cells(path, 'code')!r}\n" + "\n".join(code)
    env = {**os.environ, **OFFLINE}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=home, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert "positive" in done.stdout
    assert done.stdout.count("<table>") >= 3
    assert "edgewright.data.rows: sentences.tsv: tab-separated" in done.stderr or "sentences.tsv" in done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_keeps_no_output(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
