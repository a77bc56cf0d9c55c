"""What is said beside an answer, and that nothing is imported for it before."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from edgewright.system.notices import before_the_first, log

said = []
before_the_first(lambda: said.append("prepared"))
assert "logging" not in sys.modules and not said
for room in ("data", "devices"):
    said.append(log(room).name)
print(*said)
"""


def test_who_shows_notices_is_called_before_the_first_and_logging_is_imported_then(tmp_path):
    """Without what else an environment imports as it starts."""
    (tmp_path / "edgewright").symlink_to(ROOT / "sdk")
    given = {"env": {"PYTHONPATH": str(tmp_path)}, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-S", "-c", SCRIPT], check=True, **given)
    assert done.stdout.split() == ["prepared", "edgewright.data", "edgewright.devices"]
