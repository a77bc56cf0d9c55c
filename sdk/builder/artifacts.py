"""The artifacts of a build: converted in children, held against the eager model, and written with their manifest."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from edgewright import registry
from edgewright.builder import genai
from edgewright.builder.model_card import bundle_card
from edgewright.bundle.bundle import GOLDEN, MANIFEST
from edgewright.bundle.external_data import check_file, graphs_of, weights_of
from edgewright.bundle.manifest import Artifact, File, Manifest, encode
from edgewright.bundle.manifest import Source as Origin
from edgewright.contracts.precision import weight_bits
from edgewright.errors import ChildFailed, EdgewrightError, GateFailed, StorageError, from_record
from edgewright.inference.engines import engine_for, remember
from edgewright.model.card import CARD, hub_id
from edgewright.model.conversion import CONVERT, Conversion, Wanted
from edgewright.model.known import read_json
from edgewright.proof.bisect import locate
from edgewright.proof.decoding import DecoderProof
from edgewright.proof.translating import TranslatorProof
from edgewright.system import arrays
from edgewright.system.files import sha256
from edgewright.system.licences import licences_of
from edgewright.system.limits import allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgewright.bundle.manifest import Golden
    from edgewright.contracts.converter import Converter
    from edgewright.contracts.precision import Precision
    from edgewright.model.source import Source
    from edgewright.proof.reference import Proof
    from edgewright.system.jobs import Jobs

__all__ = ["AnyProof", "Assembly", "Plan"]

Plan: TypeAlias = "list[tuple[type[Converter], list[Precision]]]"
"""Which converter makes which precisions."""
AnyProof: TypeAlias = "Proof | DecoderProof | TranslatorProof"
"""What artifacts are held against: answers of one run, or what is written token by token."""

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_GENERATING = ("chat_template.jinja", "generation_config.json")
_MOST_EXAMPLE = 100
"""Characters of the text that the card shows: it stands in a line of code."""


@dataclass
class Assembly:
    """What has come of a build so far: artifacts and failures."""

    source: Source
    stage: Path
    jobs: Jobs
    proof: AnyProof
    allow_divergence: bool = field(kw_only=True)
    byte_dots: bool = True
    int8_cache: bool = False
    shortlist: bool = False
    artifacts: list[Artifact] = field(default_factory=list)
    failures: list[EdgewrightError] = field(default_factory=list)
    packages: set[str] = field(default_factory=lambda: {"edgewright", "numpy", "tokenizers"})

    def make(self, plan: Plan) -> None:
        """Convert and gate every artifact of the plan; failures are remembered, and the rest goes on.

        Raises:
            StorageError: the disk is full; what would follow could not be written either.
        """
        for converter, precisions in plan:
            self.packages |= {*converter.requires, engine_for(converter.format).package}
            lowest = {precision: self._ladder(converter, precision)[0] for precision in precisions}
            for precision, error in zip(precisions, self._convert(converter, lowest), strict=True):
                failure = from_record(error) if error else self._climb(converter, precision)
                if isinstance(failure, StorageError):
                    raise failure
                if failure:
                    self.failures.append(failure)

    def _ladder(self, converter: type[Converter], precision: Precision) -> tuple[tuple[str, ...], ...]:
        """The converter's ladder; TensorFlow's own converter, which Keras sources take, has none."""
        return ((),) if self.source.keras else converter.ladder(precision)

    def _climb(self, converter: type[Converter], precision: Precision) -> EdgewrightError | None:
        """Gate an artifact that was made at the lowest rung of its ladder; go up while a gate fails."""
        lowest, *rungs = self._ladder(converter, precision)
        failure = self._gate(converter, precision, lowest)
        for rung in rungs:
            if not isinstance(failure, GateFailed):
                break
            self.jobs.progress(f"{converter.format} {precision}: {failure.message}; keep {', '.join(rung)} in float")
            (error,) = self._convert(converter, {precision: rung})
            lowest = rung
            failure = from_record(error) if error else self._gate(converter, precision, rung)
        if not isinstance(failure, GateFailed):
            return failure
        return self._explained(failure, self.proof, converter, precision, lowest)

    def _explained(
        self,
        failure: GateFailed,
        proof: AnyProof,
        converter: type[Converter],
        precision: Precision,
        rung: tuple[str, ...],
    ) -> GateFailed:
        """The failure with what the bisector finds; the layers of a decoder are not bisected."""
        if isinstance(proof, DecoderProof | TranslatorProof):
            return failure
        self.jobs.progress(f"{converter.format} {precision}: {failure.message}; look for the layer")
        try:
            words = str(locate(self.source, self.jobs, proof, converter, precision, rung))
        except EdgewrightError as error:
            words = f"the bisector could not look: {error}"
        return GateFailed(f"{failure.message}; {words}", hint=failure.hint)

    def failure(self, ending: str) -> EdgewrightError:
        """The first failure, a failed gate before others, with the other ones and what became of the build."""
        first = next((f for f in self.failures if isinstance(f, GateFailed)), self.failures[0])
        others = dict.fromkeys(f.message for f in self.failures if f is not first and f.message != first.message)
        also = [f"also failed: {message}" for message in others]
        return type(first)(first.message, hint="; ".join(part for part in (first.hint, *also, ending) if part))

    def _convert(
        self, converter: type[Converter], rungs: Mapping[Precision, tuple[str, ...]]
    ) -> list[dict[str, str] | None]:
        """Make artifacts in one child, each precision at its rung; give None or the error's record for each."""
        texts = self.jobs.scratch / "texts.npz"
        arrays.save(texts, [self.proof.example, *self.proof.calibration])
        request = Conversion(
            source=self.source.job(),
            format=converter.format,
            artifacts=tuple(Wanted(p, self.stage / converter.path(p), rung) for p, rung in rungs.items()),
            texts=texts,
            threads=allowed().threads,
            byte_dots=self.byte_dots,
            int8_cache=self.int8_cache,
            shortlist=self.shortlist,
            about=self._about(),
        )
        try:
            preload = request.source.preload and (*request.source.preload, *converter.preload)
            return list(self.jobs.run(CONVERT, request, preload=preload).errors)
        except ChildFailed as error:
            for precision in rungs:
                self._discard(converter.path(precision))
            if len(rungs) > 1:  # one of them took the others along: each in a child of its own
                return [self._convert(converter, {precision: rung})[0] for precision, rung in rungs.items()]
            return [type(error)(f"{converter.format}/{next(iter(rungs))}: {error.message}", hint=error.hint).record()]

    def _about(self) -> dict[str, str]:
        """What an artifact says of itself without its bundle."""
        source, tokenizer = self.source, self.source.directory / "tokenizer.json"
        facts = {
            "task": source.task,
            "labels": json.dumps(source.settings.labels, ensure_ascii=False) if source.settings.labels else "",
            "max_length": str(source.settings.max_length),
            "source": hub_id(source.origin) or source.architecture,
            "source_sha256": source.sha256(),
            "licence": source.licence() or "",
            "tokenizer_sha256": sha256(tokenizer) if tokenizer.is_file() else "",
        }
        return {name: value for name, value in facts.items() if value}

    def _discard(self, path: str) -> None:
        for part in (self.stage / path).parent.glob(f"{Path(path).name}*"):
            part.unlink()
        for graph in graphs_of(path):
            (self.stage / graph).unlink(missing_ok=True)

    def _gate(self, converter: type[Converter], precision: Precision, rung: tuple[str, ...]) -> EdgewrightError | None:
        """Hold one artifact against the eager model; keep it, or remove it and say why."""
        path = converter.path(precision)
        try:
            self._admit(converter, precision, path, rung)
        except EdgewrightError as error:
            self._discard(path)
            return type(error)(f"{converter.format}/{precision}: {error.message}", hint=error.hint)
        return None

    def _admit(self, converter: type[Converter], precision: Precision, path: str, rung: tuple[str, ...]) -> None:
        self._check_contained(converter.format, path)
        held = self.proof.held(converter.format, precision, self.stage / path, allow_divergence=self.allow_divergence)
        artifact = Artifact(
            path=path,
            format=converter.format,
            precision=precision,
            size_bytes=(self.stage / path).stat().st_size,
            sha256=sha256(self.stage / path),
            inputs=held.inputs,
            outputs=held.outputs,
            parity=held.parity,
            score=held.score,
            float_operators=rung,
            decoding=held.decoding or UNSET,
            carried=self._carried(precision, rung),
            shortlist=held.shortlist or UNSET,
            weights_bytes=beside.stat().st_size if (beside := self.stage / weights_of(path)).is_file() else UNSET,
        )
        self.artifacts.append(artifact)
        remember(artifact, engine_for(artifact.format))  # which has just run it, in a child

    def _carried(self, precision: Precision, rung: tuple[str, ...]) -> str | UnsetType:
        """The source's own grid, where the artifact has as many bits."""
        grid = self.source.grid if self.byte_dots or precision != "int8" else None
        return grid if grid and not rung and grid.startswith(f"Q{weight_bits(precision)}_") else UNSET

    def _check_contained(self, format: str, path: str) -> None:  # noqa: A002
        """Raise BundleError where a converter made a file that names others, which no bundle of it would open."""
        beside = self.stage / weights_of(path)
        weights_bytes = beside.stat().st_size if beside.is_file() else None
        check_file(format, self.stage / path, path, weights_bytes)
        for graph in graphs_of(path):
            if (self.stage / graph).is_file():
                check_file(format, self.stage / graph, graph, weights_bytes, weights=weights_of(path))

    def write(self, version: int) -> None:
        """Put the tokenizer, the golden cases and the manifest beside the artifacts."""
        self.jobs.progress("write the bundle")
        for name in self._copied():
            if (self.source.directory / name).is_file():
                shutil.copyfile(self.source.directory / name, self.stage / name)
        golden = self.proof.golden()
        (self.stage / GOLDEN).write_bytes(encode(golden))
        self._write_for_genai()
        self._copy_licences()
        manifest = Manifest(
            version=version,
            task=self.source.task,
            settings=self.source.settings,
            artifacts=tuple(self.artifacts),
            files=(),
            source=self._origin(),
            toolchain={name: metadata.version(name) for name in sorted({p.replace("_", "-") for p in self.packages})},
        )
        (self.stage / CARD).write_bytes(self._card(manifest, golden))
        manifest = replace(manifest, files=tuple(_file(self.stage, path) for path in self._others()))
        (self.stage / MANIFEST).write_bytes(encode(manifest))

    def _card(self, manifest: Manifest, golden: Golden) -> bytes:
        """README.md, with the shortest text among those that a line holds as its example."""
        card, base = self.source.card(), hub_id(self.source.origin)
        heading = re.search(r"^# (.{1,80})$", card.body, re.MULTILINE)
        title = base.rpartition("/")[2] if base else heading[1].strip() if heading else self.source.architecture
        example = next(
            (case for case in golden.cases if case.text and len(str(case.text)) < _MOST_EXAMPLE), golden.cases[0]
        )
        return bundle_card(manifest, card, example, title=title, base=base)

    def _copy_licences(self) -> None:
        """The source's own licence goes along: most of them ask for it."""
        for home in {self.source.origin, self.source.directory} - {Path()}:
            for path in licences_of(home):
                shutil.copyfile(path, self.stage / path.name)

    def _write_for_genai(self) -> None:
        """For onnxruntime-genai, which wants a file of its own: the smallest of a decoder's ONNX artifacts."""
        decoders = [artifact for artifact in self.artifacts if artifact.decoding and artifact.format == "onnx"]
        if decoders and isinstance(self.proof, DecoderProof):
            smallest = min(decoders, key=lambda artifact: artifact.total_bytes)
            config, generation = (_json_of(self.stage / name) for name in ("config.json", "generation_config.json"))
            (self.stage / genai.FILE).write_bytes(genai.genai_config(smallest, config, generation))

    def _copied(self) -> tuple[str, ...]:
        """What a bundle takes from the source's directory, which for a module or a Keras model is its tokenizer's."""
        own = not (self.source.exported or self.source.keras) and self.source.kind not in ("static", "setfit")
        more = _GENERATING if registry.load("tasks", self.source.task).generates else ()
        return ("config.json", *_TOKENIZER, *more) if own else _TOKENIZER

    def _others(self) -> list[Path]:
        """Every file but the artifacts: the tokenizer, the golden cases, weights beside an artifact."""
        listed = {self.stage / artifact.path for artifact in self.artifacts}
        return sorted(path for path in self.stage.rglob("*") if path.is_file() and path not in listed)

    def _origin(self) -> Origin:
        return Origin(
            architecture=self.source.architecture,
            parameters=self.proof.parameters,
            sha256=self.source.sha256(),
            licence=self.source.licence(),
            unread=self.source.unread,
            outside=self.proof.outside,
        )


def _json_of(path: Path) -> dict[str, Any]:
    """A JSON object of the source, {} where there is none."""
    return dict(read_json(path, dict[str, Any])) if path.is_file() else {}


def _file(root: Path, path: Path) -> File:
    return File(path=path.relative_to(root).as_posix(), size_bytes=path.stat().st_size, sha256=sha256(path))
