"""A checkpoint survives a crash at any moment, and damage to it is noticed."""

import builtins
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from longtail.errors import CheckpointError
from longtail.training import checkpoint
from longtail.training.checkpoint import load_checkpoint, save_checkpoint
from tiny import corrupt

TOUCHED = ("open", "os.open", "os.fsync", "os.replace", "os.mkdir", "os.unlink", "os.rmdir")


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch) -> None:
    """Nothing here cuts the power, so that syncing is only counted."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def save(folder: Path, step: int) -> None:
    tensors = {"weight": torch.full((3, 2), float(step)), "count": torch.tensor([step])}
    save_checkpoint(folder, step, tensors, {"step": step, "seconds": 0.5})


def loaded_step(folder: Path) -> int | None:
    """The step of the newest intact checkpoint, whose every part must belong to it."""
    found = load_checkpoint(folder)
    if found is None:
        return None
    step = found.state["step"]
    assert torch.equal(found.tensors["weight"], torch.full((3, 2), float(step)))
    assert found.tensors["count"].tolist() == [step]
    return step


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_saved_comes_back_with_its_types_and_layout(tmp_path):
    tensors = {
        "half": torch.randn(3).bfloat16(),
        "long": torch.tensor(7),
        "pictures": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "empty": torch.empty(0, 4),
    }
    save_checkpoint(tmp_path, 5, tensors, {"step": 5, "best": None})
    found = load_checkpoint(tmp_path)
    assert found.state == {"step": 5, "best": None}
    assert found.notes == []
    assert found.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found.tensors[name].dtype == value.dtype
        assert torch.equal(found.tensors[name], value)


def test_no_folder_and_an_empty_one_hold_no_checkpoint(tmp_path):
    assert load_checkpoint(tmp_path / "missing") is None
    assert load_checkpoint(tmp_path) is None


def test_the_newest_two_are_kept_and_the_newest_by_number_is_read(tmp_path):
    for step in (8, 9, 10, 100):
        save(tmp_path, step)
    assert names(tmp_path) == {"step-10", "step-100"}
    assert loaded_step(tmp_path) == 100


class Crash(BaseException):
    """The process is gone: no handler may see to anything."""


def crash_at(monkeypatch, k: int, error: BaseException, calls: list[str]) -> None:
    """Raise at the k-th call that touches the file system, and at each one after it."""

    def breaking(name: str, real):
        def call(*args, **kwargs):
            calls.append(name)
            if len(calls) == k or (len(calls) > k and isinstance(error, Crash)):
                raise error
            return real(*args, **kwargs)

        return call

    for name in TOUCHED:
        place, attribute = (os, name[3:]) if name.startswith("os.") else (builtins, name)
        monkeypatch.setattr(place, attribute, breaking(name, getattr(place, attribute)))
    opened = Path.open
    monkeypatch.setattr(Path, "open", breaking("open", opened))


@pytest.mark.parametrize(
    "error", [Crash(), OSError(28, "No space left on device"), OSError(5, "Input/output error")]
)
def test_after_a_crash_at_any_call_the_old_or_the_new_checkpoint_is_read(tmp_path, error):
    outcomes = []
    for k in range(1, 200):
        folder = tmp_path / str(k)
        save(folder, 1)
        save(folder, 2)
        calls: list[str] = []
        with pytest.MonkeyPatch.context() as monkeypatch:
            crash_at(monkeypatch, k, error, calls)
            try:
                save(folder, 3)
            except (Crash, CheckpointError):
                outcomes.append("raised")
            else:
                outcomes.append("done")
        step = loaded_step(folder)
        assert step == 3 if outcomes[-1] == "done" else step in (2, 3), (k, calls)
        save(folder, 4)  # whatever was left lying about is in nobody's way, and is cleared
        assert loaded_step(folder) == 4
        assert not {name for name in names(folder) if name.startswith(".draft")}
        if len(calls) < k:
            break
    assert len(outcomes) > 15
    assert "raised" in outcomes
    assert outcomes[-1] == "done"


def test_content_is_durable_before_its_name_and_the_name_before_older_ones_go(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        crash_at(monkeypatch, 0, ValueError("never"), calls)
        save(tmp_path, 3)
    relevant = [name for name in calls if name in ("os.fsync", "os.replace", "os.rmdir")]
    file, folder = ["os.fsync", "os.replace"], ["os.fsync"]
    final = [*folder, "os.replace", *folder]  # the draft's names, its renaming, the new name
    assert relevant == [*file * 3, *final, "os.rmdir"]


def test_a_full_disk_is_named_and_the_older_checkpoint_stays(tmp_path):
    save(tmp_path, 1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        crash_at(monkeypatch, 3, OSError(28, "No space left on device"), [])
        with pytest.raises(CheckpointError, match=r"step-2.*No space left.*intact.*--resume"):
            save(tmp_path, 2)
    assert loaded_step(tmp_path) == 1


FILES = ("tensors.safetensors", "state.json", "manifest.json")


def damages(path: Path):
    """Ways to damage a file of `size` bytes: bits flipped, cut short, zeroed, gone, replaced."""
    size = path.stat().st_size
    for position in {*range(0, size, max(1, size // 40)), size - 1}:
        yield f"bit at {position}", lambda p, at=position: corrupt(p, at, at % 8)
    for length in {0, 1, size // 2, size - 1}:
        yield f"cut to {length}", lambda p, n=length: p.write_bytes(p.read_bytes()[:n])
    yield "zeroed", lambda p: p.write_bytes(bytes(size))
    yield "longer", lambda p: p.write_bytes(p.read_bytes() + b"x")
    yield "gone", lambda p: p.unlink()
    yield "a list", lambda p: p.write_bytes(b"[]")
    yield "no text", lambda p: p.write_bytes(b"\xff\xfe\x00\x80")


@pytest.mark.parametrize("file", FILES)
def test_damage_is_noticed_said_and_the_checkpoint_before_is_used(tmp_path, file):
    save(tmp_path, 1)
    save(tmp_path, 2)
    target = tmp_path / "step-2" / file
    content = target.read_bytes()
    for name, damage in list(damages(target)):
        damage(target)
        found = load_checkpoint(tmp_path)
        assert found.state["step"] == 1, name
        assert len(found.notes) == 1, name
        assert "step-2 is corrupt" in found.notes[0], name
        target.write_bytes(content)
    assert loaded_step(tmp_path) == 2


def test_files_of_another_checkpoint_do_not_pass(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    for file in FILES:
        shutil.copy(tmp_path / "step-2" / file, tmp_path / "kept")
        shutil.copy(tmp_path / "step-1" / file, tmp_path / "step-2" / file)
        assert loaded_step(tmp_path) == 1, file
        shutil.copy(tmp_path / "kept", tmp_path / "step-2" / file)


def test_nothing_intact_is_an_error_and_not_a_fresh_start(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    corrupt(tmp_path / "step-1" / "tensors.safetensors", 9)
    (tmp_path / "step-2" / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint is intact.*step-2; step-1"):
        load_checkpoint(tmp_path)


def test_a_corrupt_newer_checkpoint_does_not_push_out_good_ones(tmp_path):
    save(tmp_path, 10)
    save(tmp_path, 20)
    corrupt(tmp_path / "step-20" / "state.json", 3)
    save(tmp_path, 12)
    assert names(tmp_path) == {"step-10", "step-12"}


def test_strange_names_are_no_checkpoints(tmp_path):
    save(tmp_path, 3)
    for name in ("step-", "step-x", "step--4", "step-²", ".draft"):
        (tmp_path / name).mkdir()
    assert loaded_step(tmp_path) == 3


def test_the_manifest_lists_every_file(tmp_path):
    save(tmp_path, 1)
    manifest = json.loads((tmp_path / "step-1" / "manifest.json").read_text())
    assert set(manifest) == names(tmp_path / "step-1") - {"manifest.json"}
    assert checkpoint.load_checkpoint(tmp_path).notes == []
