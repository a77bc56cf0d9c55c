"""The Swift package on Linux, held against Python.

    tools/ios_answers.py writing|translating [BUNDLE...]

`writing`: what tools/c_writing.py asks of decoders, of those that it makes and of the given ones; `translating`: what
tools/c_translations.py asks of translators. Each package is what `edgewright export ios` writes, built by SwiftPM
without the engine's own package; Python's library of ONNX Runtime is the engine of both. docs/apps.md has the last
result. Needs tools/swift_setup.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "exporting"), str(ROOT / "tools")]

import swift_programs  # noqa: E402
from load_tool import load_tool  # noqa: E402

from edgewright.bundle.bundle import Bundle  # noqa: E402
from edgewright.exporting.ios import export_ios  # noqa: E402

ASSETS = Path("Sources", "Edgewright", "assets")


def main() -> int:
    if why := swift_programs.missing():
        raise SystemExit(why)
    part, *names = sys.argv[1:]
    logging.disable()  # what is cut is told of every text
    asked = load_tool({"writing": "c_writing", "translating": "c_translations"}[part])
    asked.FORMATS = ("onnx",)  # of bundles that are made for it
    wrong, program = 0, None
    with tempfile.TemporaryDirectory() as scratch:
        for bundle in [*asked.bundles(Path(scratch)), *map(Path, names)]:
            for artifact in Bundle.open(bundle).artifacts("onnx", None):
                out = Path(scratch, "ios", f"{bundle.name}-{artifact.precision}")
                out.parent.mkdir(exist_ok=True)
                export_ios(bundle, out=out, precision=artifact.precision)
                program = program or swift_programs.program(out)  # the assets are named when it is started
                texts = () if part == "writing" else (asked.sentences(),)
                count, bad = asked.compared(program, bundle, artifact, out / ASSETS, *texts)
                wrong += bad
                print(f"{bundle.name} {artifact.key}: {bad} of {count} differ", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
