import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.bundle import bundle as bundle_module
from edgewright.bundle.bundle import Bundle
from edgewright.bundle.manifest import Golden, decode, encode
from edgewright.errors import BundleError, EdgewrightError, UsageError
from edgewright.system.untrusted import MAX_FILES
from edgewright.text.tokenizer import Tokenizer

FILES = ["config.json", "golden.json", "onnx/model.onnx", "tokenizer.json", "tokenizer_config.json"]


def change(root, path, at=0.5):
    """Flip one bit of the byte at this part of a file."""
    data = bytearray((root / path).read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    (root / path).write_bytes(data)


def rewrite(root, spoil):
    """Let `spoil` edit the manifest's tree in place."""
    tree = json.loads((root / "manifest.json").read_bytes())
    spoil(tree)
    (root / "manifest.json").write_text(json.dumps(tree))


def refused(root):
    with pytest.raises(BundleError) as caught:
        Bundle.open(root)
    return str(caught.value)


def test_a_good_bundle_opens_and_its_hashes_are_right(bundle_dir):
    bundle = Bundle.open(str(bundle_dir))
    bundle.check_hashes()
    assert {file.path for file in (*bundle.manifest.artifacts, *bundle.manifest.files)} == set(FILES)
    assert bundle.golden() == decode((bundle_dir / "golden.json").read_bytes(), Golden, "golden.json")
    assert isinstance(bundle.tokenizer(), Tokenizer)
    assert bundle.tokenizer().max_length == bundle.manifest.settings.max_length
    assert bundle.checked("onnx/model.onnx") == bundle_dir / "onnx/model.onnx"


def test_a_copy_of_a_bundle_opens(bundle_dir, tmp_path):
    Bundle.open(shutil.copytree(bundle_dir, tmp_path / "copy")).check_hashes()


def test_a_signature_beside_the_manifest_is_not_extra(bundle_dir):
    (bundle_dir / "manifest.json.sig").write_text("signed")
    Bundle.open(bundle_dir)


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("path", FILES)
def test_a_flipped_bit_is_found_by_the_hash(bundle_dir, path, at):
    change(bundle_dir, path, at)
    bundle = Bundle.open(bundle_dir)
    with pytest.raises(BundleError, match=rf"^{path} has SHA-256 \w{{12}}…, the manifest says \w{{12}}…"):
        bundle.checked(path)
    with pytest.raises(BundleError, match=f"^{path} has SHA-256"):
        bundle.check_hashes()


def test_the_files_that_a_tokenizer_reads_are_those_of_its_name(bundle_dir):
    assert Bundle.open(bundle_dir).tokenizer_files() == ["tokenizer.json", "tokenizer_config.json"]


def test_checking_on_a_thread_finds_nothing_in_a_good_bundle(bundle_dir):
    Bundle.open(bundle_dir).checking(FILES)()


@pytest.mark.parametrize("path", FILES)
def test_checking_on_a_thread_raises_what_it_found_when_waited_for(bundle_dir, path):
    change(bundle_dir, path)
    wait = Bundle.open(bundle_dir).checking(FILES)
    with pytest.raises(BundleError, match=f"^{path} has SHA-256"):
        wait()


# wait ends well, and files that nobody has checked are used.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_checking_on_a_thread_never_passes_over_a_file_that_it_could_not_read(bundle_dir):
    bundle = Bundle.open(bundle_dir)
    (bundle_dir / "onnx/model.onnx").unlink()
    wait = bundle.checking(["onnx/model.onnx"])
    with pytest.raises(BundleError):
        wait()


def test_changed_golden_cases_are_not_read(bundle_dir):
    text = (bundle_dir / "golden.json").read_text()
    (bundle_dir / "golden.json").write_text(text.replace("-1.5", "-1.4"))
    with pytest.raises(BundleError, match=r"^golden\.json has SHA-256"):
        Bundle.open(bundle_dir).golden()


def test_every_changed_byte_of_the_manifest_is_refused_or_changes_what_it_says(bundle_dir):
    path = bundle_dir / "manifest.json"
    data, before = path.read_bytes(), Bundle.open(bundle_dir).manifest
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            bundle = Bundle.open(bundle_dir)
            bundle.check_hashes()
        except BundleError:
            continue
        assert bundle.manifest != before or b" " in (data[at : at + 1], bytes([data[at] ^ 1]))


@pytest.mark.parametrize("path", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(bundle_dir, path):
    (bundle_dir / path).unlink()
    assert path in refused(bundle_dir)


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("size", [0, -1, 1])
def test_a_file_of_another_size_is_named_with_both_sizes(bundle_dir, path, size):
    data = (bundle_dir / path).read_bytes()
    changed = {0: b"", -1: data[:-1], 1: data + b"\n"}[size]
    (bundle_dir / path).write_bytes(changed)
    assert f"{path} has {len(changed)} bytes, the manifest says {len(data)}" in refused(bundle_dir)


@pytest.mark.parametrize(
    "path", ["extra.txt", "onnx/extra.onnx", "new/extra.bin", "MANIFEST.JSON", "manifest.json.bak"]
)
def test_an_extra_file_is_named(bundle_dir, path):
    (bundle_dir / path).parent.mkdir(exist_ok=True)
    (bundle_dir / path).write_text("")
    assert f"extra: {path}" in refused(bundle_dir)


BESIDE = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE-MIT", ".gitattributes", ".DS_Store", "onnx/.DS_Store")
LEFT = (".git/config", ".git/objects/ab/cd", ".cache/huggingface/download/onnx/model.onnx.lock")


@pytest.mark.parametrize("path", [*BESIDE, *LEFT])
def test_what_hubs_git_and_finder_lay_beside_it_is_ignored_and_never_read(bundle_dir, path):
    """A pipe would be waited for, and a link to nowhere not found."""
    (bundle_dir / path).parent.mkdir(parents=True, exist_ok=True)
    for make in (os.mkfifo, lambda place: place.symlink_to("nowhere"), lambda place: place.write_bytes(b"\xff")):
        make(bundle_dir / path)
        Bundle.open(bundle_dir).check_hashes()
        (bundle_dir / path).unlink()


def test_a_file_in_the_place_of_a_checkout_is_ignored_too(bundle_dir):
    (bundle_dir / ".git").write_text("gitdir: ../.git/modules/sentiment")
    (bundle_dir / ".cache").symlink_to("/")
    Bundle.open(bundle_dir)


def test_what_is_ignored_is_a_closed_list(bundle_dir):
    for path in ("readme.md", "onnx/README.md", "onnx/LICENSE", "LICENCE", ".gitignore", "onnx/.git/config", "NOTICE"):
        (bundle_dir / path).parent.mkdir(exist_ok=True)
        (bundle_dir / path).write_text("")
        assert path in refused(bundle_dir) or "not allowed in a bundle" in refused(bundle_dir)
        (bundle_dir / path).unlink()
        if path == "onnx/.git/config":
            (bundle_dir / "onnx/.git").rmdir()


def test_a_listed_card_is_a_file_as_any_other(bundle_dir):
    data = b"# A model"
    entry = {"path": "README.md", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    rewrite(bundle_dir, lambda tree: tree["files"].append(entry))
    assert "missing: README.md" in refused(bundle_dir)
    (bundle_dir / "README.md").write_bytes(data + b"s")
    assert "README.md has 10 bytes" in refused(bundle_dir)
    (bundle_dir / "README.md").write_bytes(b"# A medal")
    with pytest.raises(BundleError, match=r"README\.md has SHA-256"):
        Bundle.open(bundle_dir).check_hashes()


def test_a_pointer_of_git_lfs_is_named(bundle_dir):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"
    (bundle_dir / "onnx/model.onnx").write_text(pointer)
    assert refused(bundle_dir).endswith("git has not fetched its files: git lfs pull")


@pytest.mark.parametrize(
    "path", [".hidden", "onnx/.hidden", "onnx/.git/config", "a b", "new\nline", "-rf", "back\\slash"]
)
def test_an_extra_file_with_a_forbidden_name_is_refused(bundle_dir, path):
    (bundle_dir / path).parent.mkdir(exist_ok=True)
    (bundle_dir / path).write_text("")
    assert "not allowed in a bundle" in refused(bundle_dir)


@pytest.mark.parametrize("path", [*FILES, "manifest.json"])
def test_a_link_to_the_very_file_is_refused(bundle_dir, tmp_path, path):
    shutil.move(bundle_dir / path, tmp_path / "away")
    (bundle_dir / path).symlink_to(tmp_path / "away")
    assert f"not a plain file: {path}" in refused(bundle_dir)


def test_an_extra_link_is_refused(bundle_dir):
    (bundle_dir / "link").symlink_to("config.json")
    assert "not a plain file: link" in refused(bundle_dir)


def test_a_dangling_link_is_refused(bundle_dir):
    (bundle_dir / "link").symlink_to("nowhere")
    assert "not a plain file: link" in refused(bundle_dir)


def test_a_link_to_a_directory_is_refused(bundle_dir, tmp_path):
    shutil.move(bundle_dir / "onnx", tmp_path / "onnx")
    (bundle_dir / "onnx").symlink_to(tmp_path / "onnx")
    words = refused(bundle_dir)
    assert "not a plain file: onnx" in words
    assert "missing: onnx/model.onnx" in words


def test_a_pipe_in_place_of_a_file_is_refused_without_being_read(bundle_dir):
    (bundle_dir / "onnx/model.onnx").unlink()
    os.mkfifo(bundle_dir / "onnx/model.onnx")
    assert "not a plain file: onnx/model.onnx" in refused(bundle_dir)


def test_a_pipe_in_place_of_the_manifest_is_refused_without_being_read(bundle_dir):
    (bundle_dir / "manifest.json").unlink()
    os.mkfifo(bundle_dir / "manifest.json")
    assert "has no manifest.json" in refused(bundle_dir)


def test_a_directory_in_place_of_a_file_is_refused(bundle_dir):
    (bundle_dir / "config.json").unlink()
    (bundle_dir / "config.json").mkdir()
    assert "missing: config.json" in refused(bundle_dir)


@pytest.mark.parametrize("name", ["CONFIG.json", "config.json", "Config.JSON"])
def test_names_that_collide_when_case_is_folded_are_refused(bundle_dir, name):
    def spoil(tree):
        entry = next(file for file in tree["files"] if file["path"] == "config.json")
        tree["files"].append({**entry, "path": name})

    data = (bundle_dir / "config.json").read_bytes()
    (bundle_dir / name).write_bytes(data)
    rewrite(bundle_dir, spoil)
    assert "listed twice: " in refused(bundle_dir)
    assert name in refused(bundle_dir)


def test_a_file_that_is_listed_as_an_artifact_too_is_refused(bundle_dir):
    def spoil(tree):
        tree["files"].append({name: tree["artifacts"][0][name] for name in ("path", "size_bytes", "sha256")})

    rewrite(bundle_dir, spoil)
    assert "listed twice: onnx/model.onnx" in refused(bundle_dir)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig"])
def test_the_manifest_and_its_signature_are_never_listed(bundle_dir, name):
    rewrite(bundle_dir, lambda tree: tree["files"].append({"path": name, "size_bytes": 1, "sha256": "0" * 64}))
    assert f"listed, but never allowed: {name}" in refused(bundle_dir)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "onnx/../../secret", ".hidden", "a\\b", ""])
def test_a_listed_path_that_leaves_the_bundle_is_refused(bundle_dir, path):
    (bundle_dir.parent / "secret").write_text("s")
    rewrite(bundle_dir, lambda tree: tree["artifacts"][0].update(path=path))
    assert "not allowed in a bundle" in refused(bundle_dir)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_manifest_is_refused(bundle_dir, part):
    data = (bundle_dir / "manifest.json").read_bytes()
    (bundle_dir / "manifest.json").write_bytes(data[: int(len(data) * part)])
    assert "manifest.json is not acceptable JSON" in refused(bundle_dir)


def test_a_huge_manifest_is_refused_before_it_is_read(bundle_dir):
    with (bundle_dir / "manifest.json").open("r+b") as file:
        file.truncate(10 * 2**30)
    assert "at most 16777216 are read" in refused(bundle_dir)


def test_a_newer_bundle_says_upgrade(bundle_dir):
    rewrite(bundle_dir, lambda tree: tree.update(schema=99))
    assert "upgrade edgewright" in refused(bundle_dir)


def test_an_encoder_is_not_looked_into_before_its_hash_is_right(bundle_dir):
    encoder = bundle_dir / "onnx/encoder_model.onnx"
    shutil.copyfile(bundle_dir / "onnx/model.onnx", encoder)
    data = encoder.read_bytes()
    listed = {"path": "onnx/encoder_model.onnx", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    rewrite(bundle_dir, lambda tree: tree["files"].append(listed))
    encoder.write_bytes(data[::-1])
    with pytest.raises(BundleError, match=r"encoder_model\.onnx has SHA-256"):
        Bundle.open(bundle_dir).checked("onnx/model.onnx")


def test_a_valid_file_of_another_bundle_is_found(bundle_dir, tmp_path):
    """Same name, same size, another release."""
    other = shutil.copytree(bundle_dir, tmp_path / "other")
    change(other, "onnx/model.onnx")
    shutil.copyfile(other / "onnx/model.onnx", bundle_dir / "onnx/model.onnx")
    with pytest.raises(BundleError, match="SHA-256"):
        Bundle.open(bundle_dir).check_hashes()


@pytest.mark.parametrize(("make", "words"), [(Path, "does not exist"), (os.mkdir, "has no manifest.json")])
def test_what_is_no_bundle_is_said(tmp_path, make, words):
    make(tmp_path / "it")
    assert words in refused(tmp_path / "it")


def test_a_file_is_no_bundle(tmp_path):
    (tmp_path / "it").write_text("")
    assert "is not a directory" in refused(tmp_path / "it")


def test_several_problems_are_told_at_once(bundle_dir):
    (bundle_dir / "config.json").unlink()
    (bundle_dir / "extra").write_text("")
    (bundle_dir / "golden.json").write_text("")
    words = refused(bundle_dir)
    assert "missing: config.json" in words
    assert "extra: extra" in words
    assert "golden.json has 0 bytes" in words


def test_a_file_that_vanished_after_opening_is_a_bundle_error(bundle_dir):
    bundle = Bundle.open(bundle_dir)
    (bundle_dir / "onnx/model.onnx").unlink()
    with pytest.raises(BundleError):
        bundle.checked("onnx/model.onnx")


def test_a_bundle_without_golden_cases_says_so(bundle_dir):
    rewrite(bundle_dir, lambda tree: tree.update(files=[f for f in tree["files"] if f["path"] != "golden.json"]))
    (bundle_dir / "golden.json").unlink()
    bundle = Bundle.open(bundle_dir)
    with pytest.raises(BundleError):
        bundle.golden()


def test_a_bundle_without_a_tokenizer_says_so(bundle_dir):
    rewrite(bundle_dir, lambda tree: tree.update(files=[f for f in tree["files"] if f["path"] != "tokenizer.json"]))
    (bundle_dir / "tokenizer.json").unlink()
    bundle = Bundle.open(bundle_dir)
    with pytest.raises(EdgewrightError, match=r"tokenizer\.json"):
        bundle.tokenizer()


@pytest.fixture
def several(bundle_dir, make_artifact, make_manifest):
    """A bundle of three artifacts, not opened: fp32 is the largest, the small int4 failed a gate."""
    parity = make_artifact().parity
    broken = type(parity)(**{f: getattr(parity, f) for f in parity.__struct_fields__ if f != "diverged"}, diverged="no")
    kinds = [("onnx", "fp32", 400, parity), ("onnx", "int8", 100, parity), ("tflite", "int8", 120, parity)]
    artifacts = [make_artifact(b"x" * n, path=f"{f}/{p}", format=f, precision=p, parity=q) for f, p, n, q in kinds]
    artifacts.append(make_artifact(b"x" * 50, path="onnx/int4", precision="int4", parity=broken))
    return Bundle(bundle_dir, make_manifest(artifacts=tuple(artifacts)))


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({}, "onnx/int8"),
        ({"format": "onnx"}, "onnx/int8"),
        ({"format": "tflite"}, "tflite/int8"),
        ({"precision": "fp32"}, "onnx/fp32"),
        ({"precision": "int8"}, "onnx/int8"),
        ({"format": "tflite", "precision": "int8"}, "tflite/int8"),
        ({"precision": "int4"}, "onnx/int4"),
    ],
)
def test_the_smallest_artifact_that_passed_is_chosen(several, wanted, path):
    assert several.choose(**wanted).path == path


def test_a_format_that_can_be_opened_here_goes_before_a_smaller_one(several):
    assert several.choose().path != several.choose(among=["onnx"], precision="fp32").path
    assert several.choose(among=["onnx"]).format == "onnx"
    assert several.choose(among=["executorch"]) == several.choose()


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({"format": "pte"}, "pte/*"),
        ({"precision": "fp16"}, "*/fp16"),
        ({"format": "tflite", "precision": "fp32"}, "tflite/fp32"),
    ],
)
def test_a_choice_that_is_not_there_lists_what_is(several, wanted, shown):
    with pytest.raises(BundleError) as caught:
        several.choose(**wanted)
    assert f"has no artifact {shown}" in caught.value.message
    assert caught.value.hint == "it has onnx/fp32, onnx/int8, tflite/int8, onnx/int4"


def test_the_same_manifest_gives_the_same_bytes(bundle_dir):
    assert encode(Bundle.open(bundle_dir).manifest) == (bundle_dir / "manifest.json").read_bytes()


def test_artifacts_are_those_of_a_format_and_a_precision_in_the_manifests_order(several):
    every = several.manifest.artifacts
    assert several.artifacts() == list(every)
    assert several.artifacts("onnx") == [a for a in every if a.format == "onnx"] != list(every)
    assert several.artifacts(precision="fp32") == [a for a in every if a.precision == "fp32"] != list(every)
    with pytest.raises(BundleError, match=r"has no artifact \*/fp8; it has onnx/"):
        several.artifacts(precision="fp8")


def test_a_bundle_is_taken_as_it_is_and_a_directory_is_opened(bundle_dir):
    bundle = Bundle.open(bundle_dir)
    assert Bundle.of(bundle) is bundle
    assert Bundle.of(bundle_dir) == Bundle.of(str(bundle_dir)) == bundle
    with pytest.raises(BundleError, match="has no manifest"):
        Bundle.of(bundle_dir / "onnx")


def test_a_bundles_task_knows_its_settings(bundle_dir):
    bundle = Bundle.open(bundle_dir)
    task = bundle.task()
    assert (task.name, task.settings) == (bundle.manifest.task, bundle.manifest.settings)


@pytest.mark.parametrize("words", [("eval", "{bundle}"), ("compare", "{bundle}", "{bundle}")])
def test_a_task_that_is_not_its_own_is_refused(bundle_dir, tmp_path, run, words):
    (tmp_path / "rows.tsv").write_text("text\tlabel\nfine\tpositive\n")
    given = [word.format(bundle=bundle_dir) for word in words]
    for task, shown in (("fill-mask", "'fill-mask'"), ("x" * 100_000, f"'{'x' * 39}…'")):
        code, _, err = run(*given, "--data", tmp_path / "rows.tsv", "--task", task, "-q")
        assert (code, f"{bundle_dir} is a bundle for text-classification, {shown} was asked" in err) == (2, True)


def test_a_task_of_a_newer_edgewright_is_named(bundle_dir):
    rewrite(bundle_dir, lambda tree: tree.update(task="haiku"))
    with pytest.raises(UsageError, match=r"unknown task 'haiku'; choose from "):
        Bundle.open(bundle_dir).task()


def with_files(root, count):
    """Add so many empty files that the manifest lists, and give the time in seconds that opening and checking takes."""
    (root / "more").mkdir()
    for at in range(count):
        (root / f"more/{at}").touch()
    empty = {"size_bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    rewrite(root, lambda tree: tree["files"].extend({"path": f"more/{at}", **empty} for at in range(count)))


@pytest.mark.slow
def test_the_files_of_a_bundle_have_a_largest_number(bundle_dir):
    with_files(bundle_dir, MAX_FILES)
    with pytest.raises(
        BundleError, match=rf"the manifest lists {MAX_FILES + 5} files, a bundle has at most {MAX_FILES}"
    ):
        Bundle.open(bundle_dir)


@pytest.mark.slow
def test_strange_files_without_end_are_not_counted_to_the_end(bundle_dir):
    (bundle_dir / "more").mkdir()
    for at in range(MAX_FILES + 1):
        (bundle_dir / f"more/{at}").touch()
    with pytest.raises(BundleError, match=rf"it has over {MAX_FILES} files"):
        Bundle.open(bundle_dir)


def test_each_file_is_looked_for_once(bundle_dir, monkeypatch):
    with_files(bundle_dir, 2000)
    bundle, asked = Bundle.open(bundle_dir), []
    monkeypatch.setattr(
        bundle_module, "_listed", lambda manifest: asked.append(1) or (*manifest.artifacts, *manifest.files)
    )
    bundle.check_hashes()
    assert len(asked) <= 2, "the list was walked for each file anew"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not read")
@pytest.mark.parametrize("path", [".", "manifest.json", "onnx", "onnx/model.onnx"])
def test_what_this_user_may_not_read_is_said(bundle_dir, path):
    place = bundle_dir / path
    place.chmod(0)
    code = (
        "import os\nfrom edgewright.bundle.bundle import Bundle\nfrom edgewright.errors import BundleError\n"
        "os.setegid(65534); os.seteuid(65534)\n"
        "try:\n    Bundle.open('bundle').check_hashes()\nexcept BundleError as error:\n    print(error)\n"
    )
    argv = [sys.executable, "-c", code]  # below the directory, as its parents are closed to others too
    done = subprocess.run(argv, cwd=bundle_dir.parent, capture_output=True, text=True, check=True)
    assert "cannot read" in done.stdout
    assert "Permission denied" in done.stdout
