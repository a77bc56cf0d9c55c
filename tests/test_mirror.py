"""Tests lie where their modules do: `sdk/ROOM/MODULE.py` has `tests/ROOM/test_MODULE.py`, or this says why not."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HUB = sorted(
    path.relative_to(HERE.parent / "sdk").as_posix()
    for path in (HERE.parent / "sdk").rglob("*.py")
    if path.name != "__init__.py"
)

ELSEWHERE = {
    # whole rooms and families, of which one file tests all
    "cli/": ("cli/test_cli.py", "each command is typed: here, in tests/e2e, and all that the README prints"),
    "compression/": ("compression/test_steps.py", "a step is tested in a chain of steps, on one model"),
    "boards/native/": ("devices/test_native.py", "the hub's side and the device's are tested as one"),
    "training/": ("training/test_fitting.py", "the parts of a training run are what it consists of"),
    # faces and words
    "__main__.py": ("test_architecture.py", "one line of it"),
    "_version.py": ("test_surface.py", "a number"),
    "client.py": ("e2e/test_serve.py", "a name that programs know"),
    "doctor.py": ("contracts/test_board.py", "a name that boards know"),
    # on a real far side, or only with what else comes along
    "boards/board.py": ("boards/test_agent.py", "a board with a Python, and one that answers from here"),
    "boards/emulated.py": ("e2e/test_emulated.py", "a board that is emulated"),
    "boards/instructions.py": ("e2e/test_emulated.py", "counted by an emulator"),
    "boards/place.py": ("boards/test_connect.py", "there is no place without a way"),
    "boards/remote.py": ("e2e/test_planted_files.py", "commands on real far sides"),
    "boards/transfer.py": ("boards/test_flash.py", "the sending half of a flash"),
    "builder/artifacts.py": ("e2e/test_demo.py", "a whole build"),
    "builder/build.py": ("e2e/test_demo.py", "a whole build"),
    "bundle/onnx_bytes.py": ("bundle/test_external_data.py", "the reader that it needs"),
    "bundle/onnx_rewriting.py": ("runtimes/test_unshared.py", "and bundle/test_head_first.py: models rewritten"),
    "bundle/rotation.py": ("bundle/test_keys.py", "roots as they are made, and read"),
    "bundle/signing.py": ("boards/test_signed.py", "beside what a board makes of a signature"),
    "bundle/sshsig.py": ("boards/test_signed.py", "beside what a board makes of a signature"),
    "contracts/board_answers.py": ("boards/test_wire.py", "each crosses the wire and comes out the same"),
    "contracts/board_commands.py": ("boards/test_wire.py", "each crosses the wire and comes out the same"),
    "contracts/engine.py": ("contracts/test_converter.py", "both seams narrow what is raised"),
    "contracts/operators.py": ("measure/test_profile.py", "what a profile consists of"),
    "contracts/transport.py": ("contracts/test_examples.py", "its example, run"),
    "data/rows.py": ("data/test_data.py", "rows, whatever the file"),
    "exporting/_updater.py": ("e2e/test_fleets.py", "by the real updaters"),
    "exporting/split_pattern.py": ("exporting/test_tokenizer_file.py", "what a tokenizer splits by"),
    "exporting/unicode_tables.py": ("exporting/test_tokenizer_file.py", "every code point, by what comes out"),
    "exporting/mender.py": ("e2e/test_fleets.py", "by the real updater"),
    "exporting/rauc.py": ("e2e/test_fleets.py", "by the real updater"),
    "inference/choice.py": ("e2e/test_raced.py", "what a race chose"),
    "inference/footprint.py": ("boards/test_estimate.py", "what an estimate adds up"),
    "inference/golden.py": ("proof/test_verify.py", "what verify replays"),
    "inference/run_batches.py": ("converters/test_tflite.py", "damaged files in a child"),
    "measure/bench.py": ("e2e/test_bench.py", "measured on a real model"),
    "measure/explain.py": ("test_surface.py", "and e2e/test_profiled.py, with a real profile"),
    "measure/place.py": ("measure/test_process.py", "the process that it asks"),
    "measure/plan.py": ("measure/test_rows.py", "what rows are asked for"),
    "measure/summarize.py": ("measure/test_process.py", "from a process's answer to a row"),
    "model/config.py": ("converters/test_last_layer.py", "and test_source.py: what a directory says of itself"),
    "model/conversion.py": ("test_children.py", "the two ends of a child"),
    "model/eager.py": ("test_children.py", "the two ends of a child"),
    "model/keras.py": ("converters/test_keras.py", "real Keras models"),
    "model/pruned.py": ("compression/test_steps.py", "what a step leaves opens"),
    "model/torch_module.py": ("e2e/test_other_sources.py", "a module of a user's own"),
    "proof/cases.py": ("proof/test_parity.py", "what parity is measured on"),
    "proof/compare.py": ("e2e/test_looks.py", "two real models"),
    "proof/limits.py": ("proof/test_parity.py", "what parity is held against"),
    "proof/reference.py": ("e2e/test_demo.py", "a whole build"),
    "proof/score.py": ("e2e/test_looks.py", "real models on rows"),
    "proof/subjects.py": ("e2e/test_looks.py", "real models side by side"),
    "reporting/charts.py": ("reporting/test_page.py", "drawn in a page"),
    "reporting/markup.py": ("reporting/test_page.py", "written in a page"),
    "reporting/operators.py": ("reporting/test_page.py", "a section of a page"),
    "reporting/report.py": ("reporting/test_page.py", "what makes a page"),
    "searching/_sampler.py": ("searching/test_study.py", "what a study asks"),
    "searching/front.py": ("searching/test_halving.py", "who goes on"),
    "searching/page.py": ("searching/test_search.py", "what a search ends with"),
    "searching/process.py": ("searching/test_study.py", "processes that share a study"),
    "searching/trial.py": ("searching/test_halving.py", "what is tried"),
    "serving/client.py": ("serving/test_unix_socket.py", "both ends of a socket"),
    "serving/model.py": ("serving/test_unix_socket.py", "both ends of a socket"),
    "serving/clients.py": ("serving/test_server.py", "asked over real sockets"),
    "serving/http_connection.py": ("serving/test_http.py", "requests over real sockets"),
    "serving/http_server.py": ("serving/test_http.py", "requests over real sockets"),
    "serving/openai_answers.py": ("serving/test_openai.py", "read by the real client"),
    "serving/openai_requests.py": ("serving/test_openai.py", "written by the real client"),
    "serving/systemd.py": ("serving/test_unix_socket.py", "a socket that systemd opened"),
    "serving/writing.py": ("serving/test_openai.py", "answers as they are written"),
    "system/child_side.py": ("system/test_child.py", "both ends of a child"),
    "system/jobs.py": ("e2e/test_demo.py", "the children of a build"),
    "system/machine.py": ("boards/test_facts.py", "what a machine says of itself"),
    "system/markup.py": ("test_surface.py", "tables in a notebook"),
    "system/progress.py": ("test_surface.py", "a callback that says nothing"),
    "system/shown.py": ("test_surface.py", "short reprs"),
    "system/toml.py": ("boards/test_catalogue.py", "a profile's fields, and what is wrong in them"),
    "system/untrusted.py": ("bundle/test_manifest.py", "what a manifest is read with"),
    "tasks/fill_mask.py": ("tasks/test_task_tokens.py", "tasks that answer for tokens"),
    "tasks/question_answering.py": ("tasks/test_task_tokens.py", "tasks that answer for tokens"),
    "tasks/text_ranking.py": ("tasks/test_task_rows.py", "and e2e/test_every_task.py, beside transformers"),
    "tasks/zero_shot_classification.py": ("tasks/test_task_rows.py", "and e2e/test_every_task.py, beside transformers"),
    "tasks/token_classification.py": ("tasks/test_task_tokens.py", "tasks that answer for tokens"),
    # decoders: what writes is proven by writing
    "builder/genai.py": ("e2e/test_other_clients.py", "by the client that reads it"),
    "generation/answer.py": ("generation/test_generator.py", "and test_batch.py: tokens of one answer, and of several"),
    "generation/defaults.py": ("generation/test_generator.py", "what an answer ends with"),
    "generation/lookup.py": ("generation/test_generator.py", "guesses, and that they change no token"),
    "inference/decoding.py": ("e2e/test_decoders.py", "a bundle that writes"),
    "measure/translating.py": ("e2e/test_translators.py", "a real translator, measured"),
    "measure/writing.py": ("e2e/test_decoders.py", "a real decoder, measured"),
    "model/checkpoint.py": ("e2e/test_decoders.py", "files of GGUF and of llama2.c"),
    "model/decoding.py": ("test_children.py", "the two ends of a child"),
    "proof/decoder_limits.py": ("e2e/test_decoders.py", "a gate, passed and failed"),
    "proof/decoding_artifact.py": ("e2e/test_decoders.py", "what a gate asks of an artifact"),
    "proof/held.py": ("proof/test_parity.py", "what a gate found"),
    "tasks/text_generation.py": ("e2e/test_decoders.py", "what it says of itself"),
    "contracts/encoder_decoder.py": ("contracts/test_examples.py", "its example, run"),
    "model/translating.py": ("test_children.py", "the two ends of a child"),
    "proof/translating.py": ("e2e/test_translators.py", "a gate, passed and failed"),
    "proof/translating_artifact.py": ("e2e/test_translators.py", "what a gate asks of an artifact"),
    "tasks/translation.py": ("e2e/test_translators.py", "what it says of itself"),
    # read of a source, and held against its own library
    "model/known.py": ("e2e/test_settings_of_sources.py", "each setting ignored on purpose"),
    "model/loading.py": ("e2e/test_sources_from_the_field.py", "sources as people have them"),
    "model/outside.py": ("proof/test_oracle.py", "what the library tells"),
    "model/sentence.py": ("e2e/test_settings_of_sources.py", "each setting ignored on purpose"),
    "model/settle.py": ("e2e/test_sources_from_the_field.py", "sources as people have them"),
    "data/arrow.py": ("data/test_data.py", "rows, whatever the file"),
    "data/encodings.py": ("data/test_data.py", "rows, whatever the file"),
    "data/tables.py": ("data/test_data.py", "rows, whatever the file"),
    "system/keeper.py": ("system/test_child.py", "what a child leaves behind"),
    "system/streams.py": ("cli/test_surroundings.py", "streams as programs find them"),
    "tasks/_aggregation.py": ("tasks/test_task_tokens.py", "tasks that answer for tokens"),
    "tasks/_labels.py": ("tasks/test_text_classification.py", "labels as files write them"),
    "text/encoding.py": ("tasks/test_task_tokens.py", "what tasks encode"),
}
"""Who tests a module, or all below a folder, and why under another name: paths below sdk/ and below tests/."""


def own(module):
    """The test file of a module's own name, a private one's without the underscore."""
    path = Path(module)
    return (path.parent / f"test_{path.stem.lstrip('_')}.py").as_posix()


def entry(module):
    return next((key for key in ELSEWHERE if module == key or (key.endswith("/") and module.startswith(key))), None)


def test_a_module_has_its_tests_where_one_would_look():
    """Or write the file, or say in ELSEWHERE who tests it."""
    assert [module for module in HUB if not (HERE / own(module)).is_file() and not entry(module)] == []


@pytest.mark.parametrize("key", ELSEWHERE)
def test_an_exception_is_one(key):
    file, why = ELSEWHERE[key]
    found = [module for module in HUB if entry(module) == key]
    assert found, f"sdk/{key} is not there"
    assert (HERE / file).is_file()
    assert why
    if not key.endswith("/"):
        assert not (HERE / own(key)).is_file(), "it has its file by now"


def test_no_two_test_files_have_one_name():
    """pytest imports them by their names alone."""
    names = [path.name for path in HERE.rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_what_a_room_is_called_is_a_room():
    rooms = {path.name for path in HERE.iterdir() if path.is_dir() and re.fullmatch("[a-z0-9]+", path.name)}
    code = {path.name for path in (HERE.parent / "sdk").iterdir()} | {"converters", "runtimes", "devices", "tools"}
    assert rooms - code == {"e2e", "fire"}
