"""Small language models on edge devices: converted, proven, measured, installed.

    import edgewright as ew
    bundle = ew.build("path/to/model", formats=["onnx"], precisions=["fp32", "int8"], out="sentiment")
    ew.load(bundle)("a charming and often affecting journey")    # [{'label': 'positive', 'score': 0.99}]

Importing this package imports nothing beyond the standard library; what a name needs comes when the name is used.
"""

from edgewright._version import __version__

TYPE_CHECKING = False  # as in typing, which is imported by no one until `__main__` has looked after the import path
if TYPE_CHECKING:
    from typing import Any

    from edgewright import contracts, errors, testing
    from edgewright.analysis.attention import Attention, attend, heads
    from edgewright.analysis.probe import Probed, probe
    from edgewright.boards.board import Board
    from edgewright.boards.catalogue import Profile as BoardProfile
    from edgewright.boards.catalogue import board_profiles, read_profile
    from edgewright.boards.catalogue import named as board_profile
    from edgewright.boards.connect import board_behind, connect, disconnect
    from edgewright.boards.emulated import emulate
    from edgewright.boards.estimate import Estimate, estimate
    from edgewright.boards.facts import ProbedBoard, probe_board
    from edgewright.boards.flash import Flashed, flash, listing, rekey, rollback, status, uninstall
    from edgewright.boards.install import by_pip, by_wheels
    from edgewright.boards.instructions import Count, count_instructions
    from edgewright.boards.many import Outcome, flash_all, race_all
    from edgewright.boards.own_wheel import board_wheel
    from edgewright.builder.build import build
    from edgewright.bundle.bundle import Bundle, inspect
    from edgewright.bundle.manifest import Artifact, Manifest, Target
    from edgewright.bundle.packing import pack, unpack
    from edgewright.bundle.rotation import countersign as countersign_keys
    from edgewright.bundle.rotation import rotate as rotate_keys
    from edgewright.bundle.signing import check_signature, sign
    from edgewright.compression.chain import Stage, compress
    from edgewright.contracts.board_answers import Listing, Rekeyed, Rolled, Status
    from edgewright.errors import EdgewrightError
    from edgewright.exporting._updater import Install
    from edgewright.exporting.android import export_android
    from edgewright.exporting.c import export_c
    from edgewright.exporting.hub import pull, push
    from edgewright.exporting.ios import export_ios
    from edgewright.exporting.litertlm import export_litertlm
    from edgewright.exporting.mediapipe import export_mediapipe
    from edgewright.exporting.mender import export_mender
    from edgewright.exporting.rauc import export_rauc
    from edgewright.exporting.web import export_web
    from edgewright.inference.doctor import examine
    from edgewright.inference.pipeline import Pipeline, load
    from edgewright.measure.bench import bench
    from edgewright.measure.explain import explain
    from edgewright.measure.plan import Plan
    from edgewright.measure.profile import Profile, Share, profile, shares
    from edgewright.measure.race import Entrant, Rules, choose, race
    from edgewright.measure.regression import Comparison, bench_against
    from edgewright.measure.rows import Row, Run
    from edgewright.model.identify import Identity, identify
    from edgewright.model.source import Source, open_source
    from edgewright.proof.compare import Difference, compare
    from edgewright.proof.score import Evaluation, evaluate
    from edgewright.proof.verify import Replay, verify
    from edgewright.reporting.history import History
    from edgewright.reporting.report import Report, report, report_history
    from edgewright.searching.front import Limits as SearchLimits
    from edgewright.searching.front import Trial
    from edgewright.searching.search import Result, search
    from edgewright.serving.client import Client, ask
    from edgewright.serving.clients import Bounds
    from edgewright.serving.server import serve
    from edgewright.system.child import Limits
    from edgewright.system.shown import Results
    from edgewright.training.decoder_shape import DecoderShape
    from edgewright.training.distilling import Distillation, distill
    from edgewright.training.fitting import Trained, train
    from edgewright.training.pretraining import Pretrained, pretrain
    from edgewright.training.pretraining_recipe import PretrainingRecipe
    from edgewright.training.recipe import Recipe
    from edgewright.training.student import Shape
    from edgewright.training.tokenizers import TrainedTokenizer, train_tokenizer

__all__ = [
    "Artifact",
    "Attention",
    "Board",
    "BoardProfile",
    "Bounds",
    "Bundle",
    "Client",
    "Comparison",
    "Count",
    "DecoderShape",
    "Difference",
    "Distillation",
    "EdgewrightError",
    "Entrant",
    "Estimate",
    "Evaluation",
    "Flashed",
    "History",
    "Identity",
    "Install",
    "Limits",
    "Listing",
    "Manifest",
    "Outcome",
    "Pipeline",
    "Plan",
    "Pretrained",
    "PretrainingRecipe",
    "Probed",
    "ProbedBoard",
    "Profile",
    "Recipe",
    "Rekeyed",
    "Replay",
    "Report",
    "Result",
    "Results",
    "Rolled",
    "Row",
    "Rules",
    "Run",
    "SearchLimits",
    "Shape",
    "Share",
    "Source",
    "Stage",
    "Status",
    "Target",
    "Trained",
    "TrainedTokenizer",
    "Trial",
    "__version__",
    "ask",
    "attend",
    "bench",
    "bench_against",
    "board_behind",
    "board_profile",
    "board_profiles",
    "board_wheel",
    "build",
    "by_pip",
    "by_wheels",
    "check_signature",
    "choose",
    "compare",
    "compress",
    "connect",
    "contracts",
    "count_instructions",
    "countersign_keys",
    "disconnect",
    "distill",
    "emulate",
    "errors",
    "estimate",
    "evaluate",
    "examine",
    "explain",
    "export_android",
    "export_c",
    "export_ios",
    "export_litertlm",
    "export_mediapipe",
    "export_mender",
    "export_rauc",
    "export_web",
    "flash",
    "flash_all",
    "heads",
    "identify",
    "inspect",
    "listing",
    "load",
    "open_source",
    "pack",
    "pretrain",
    "probe",
    "probe_board",
    "profile",
    "pull",
    "push",
    "race",
    "race_all",
    "read_profile",
    "rekey",
    "report",
    "report_history",
    "rollback",
    "rotate_keys",
    "search",
    "serve",
    "shares",
    "sign",
    "status",
    "testing",
    "train",
    "train_tokenizer",
    "uninstall",
    "unpack",
    "verify",
]

_HOMES = {
    "Artifact": "bundle.manifest",
    "Attention": "analysis.attention",
    "Board": "boards.board",
    "BoardProfile": "boards.catalogue:Profile",
    "Bounds": "serving.clients",
    "Bundle": "bundle.bundle",
    "Client": "serving.client",
    "Comparison": "measure.regression",
    "Count": "boards.instructions",
    "DecoderShape": "training.decoder_shape",
    "Difference": "proof.compare",
    "Distillation": "training.distilling",
    "EdgewrightError": "errors",
    "Entrant": "measure.race",
    "Estimate": "boards.estimate",
    "Evaluation": "proof.score",
    "Flashed": "boards.flash",
    "History": "reporting.history",
    "Identity": "model.identify",
    "Install": "exporting._updater",
    "Limits": "system.child",
    "Listing": "contracts.board_answers",
    "Manifest": "bundle.manifest",
    "Outcome": "boards.many",
    "Pipeline": "inference.pipeline",
    "Plan": "measure.plan",
    "Pretrained": "training.pretraining",
    "PretrainingRecipe": "training.pretraining_recipe",
    "Probed": "analysis.probe",
    "ProbedBoard": "boards.facts",
    "Profile": "measure.profile",
    "Recipe": "training.recipe",
    "Rekeyed": "contracts.board_answers",
    "Replay": "proof.verify",
    "Report": "reporting.report",
    "Result": "searching.search",
    "Results": "system.shown",
    "Rolled": "contracts.board_answers",
    "Row": "measure.rows",
    "Rules": "measure.race",
    "Run": "measure.rows",
    "SearchLimits": "searching.front:Limits",
    "Shape": "training.student",
    "Share": "measure.profile",
    "Source": "model.source",
    "Stage": "compression.chain",
    "Status": "contracts.board_answers",
    "Target": "bundle.manifest",
    "Trained": "training.fitting",
    "TrainedTokenizer": "training.tokenizers",
    "Trial": "searching.front",
    "ask": "serving.client",
    "attend": "analysis.attention",
    "bench": "measure.bench",
    "bench_against": "measure.regression",
    "board_behind": "boards.connect",
    "board_profile": "boards.catalogue:named",
    "board_profiles": "boards.catalogue",
    "board_wheel": "boards.own_wheel",
    "build": "builder.build",
    "by_pip": "boards.install",
    "by_wheels": "boards.install",
    "check_signature": "bundle.signing",
    "choose": "measure.race",
    "compare": "proof.compare",
    "compress": "compression.chain",
    "connect": "boards.connect",
    "count_instructions": "boards.instructions",
    "countersign_keys": "bundle.rotation:countersign",
    "disconnect": "boards.connect",
    "distill": "training.distilling",
    "emulate": "boards.emulated",
    "estimate": "boards.estimate",
    "evaluate": "proof.score",
    "examine": "inference.doctor",
    "explain": "measure.explain",
    "export_android": "exporting.android",
    "export_c": "exporting.c",
    "export_ios": "exporting.ios",
    "export_litertlm": "exporting.litertlm",
    "export_mediapipe": "exporting.mediapipe",
    "export_mender": "exporting.mender",
    "export_rauc": "exporting.rauc",
    "export_web": "exporting.web",
    "flash": "boards.flash",
    "flash_all": "boards.many",
    "heads": "analysis.attention",
    "identify": "model.identify",
    "inspect": "bundle.bundle",
    "listing": "boards.flash",
    "load": "inference.pipeline",
    "open_source": "model.source",
    "pack": "bundle.packing",
    "pretrain": "training.pretraining",
    "probe": "analysis.probe",
    "probe_board": "boards.facts",
    "profile": "measure.profile",
    "pull": "exporting.hub",
    "push": "exporting.hub",
    "race": "measure.race",
    "race_all": "boards.many",
    "read_profile": "boards.catalogue",
    "rekey": "boards.flash",
    "report": "reporting.report",
    "report_history": "reporting.report",
    "rollback": "boards.flash",
    "rotate_keys": "bundle.rotation:rotate",
    "search": "searching.search",
    "serve": "serving.server",
    "shares": "measure.profile",
    "sign": "bundle.signing",
    "status": "boards.flash",
    "train": "training.fitting",
    "train_tokenizer": "training.tokenizers",
    "uninstall": "boards.flash",
    "unpack": "bundle.packing",
    "verify": "proof.verify",
}
"""The module of each name; after a colon what it is called there, where that is not its public name."""

_MODULES = ("contracts", "errors", "testing")
"""Modules that are reached as attributes too."""


def __getattr__(name: str) -> "Any":
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"edgewright.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'edgewright' has no attribute {name!r}")
    module, _, own = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"edgewright.{module}"), own or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
