"""edgewright doctor."""

from __future__ import annotations

from typing import Any

import click

from edgewright.cli._fit import facts, width
from edgewright.cli._options import example, quiet_option
from edgewright.cli._tables import emit

__all__ = ["command"]


@click.command("doctor", epilog=example("doctor --roofline"))
@click.option("--roofline", is_flag=True, help="Measure the peaks of this machine too: a few seconds.")
@click.option("--threads", default=1, show_default=True, help="Threads for the peaks.")
@click.option("--android", is_flag=True, help="Say how to get what an Android device without Python needs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def command(*, roofline: bool, threads: int, android: bool, as_json: bool) -> None:
    """Say which converters and engines work here, and the pip line that mends what does not."""
    if android:
        from edgewright.inference.doctor import android as lines

        emit([], as_json=as_json, title="\n".join(lines()), android=lines())
        return
    from edgewright.inference.doctor import examine
    from edgewright.system.machine import machine

    here = machine()
    here |= _peaks(threads) if roofline else {}
    title = facts({name: str(value) for name, value in here.items()}, width()) + "\n"
    emit(examine(), as_json=as_json, title="" if as_json else title, notes=_spared(), machine=here)


def _spared() -> list[str]:
    """What a small disk can do without: what others of edgewright's packages bring, and no answer needs."""
    from importlib.util import find_spec

    if find_spec("transformers") or not find_spec("huggingface_hub"):
        return []
    line = "pip install --no-deps edgewright numpy tokenizers click msgspec onnxruntime"
    return [
        f"tokenizers brought huggingface_hub and its like, some 30 MB that no answer needs; a small disk takes: {line}"
    ]


def _peaks(threads: int) -> dict[str, Any]:
    from edgewright.measure.roofline import roofline

    found = roofline(threads)
    return {
        "fp32 peak": f"{found.fp32_gmac_s:.0f} GMAC/s with {threads} thread{'s' * (threads > 1)}",
        "int8 peak": f"{found.int8_gmac_s:.0f} GMAC/s",
        "memory": f"{found.read_gb_s:.0f} GB/s read",
    }
