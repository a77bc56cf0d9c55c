import subprocess
import sys

TORCH = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
whole = True
"""
LIMIT = """
import signal, sys
from edgewright.training.threads import limit
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts behind itself has it ignored
try:
    limit(0)
except KeyboardInterrupt:
    print(sys.modules["torch"].whole, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_an_interrupt_waits_until_torch_is_imported(tmp_path):
    """In the middle of it the library's C++ ends the process by SIGABRT, with words of its own."""
    (tmp_path / "torch.py").write_text(TORCH)
    words = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{LIMIT}"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True set()\n", 0), done.stderr
