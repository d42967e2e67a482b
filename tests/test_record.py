"""The run record and the predictions: whole or not at all, strict to read, equal bytes."""

import contextlib
import dataclasses
import json
import math
import os
import subprocess

import numpy as np
import pytest

from longtail import metrics, record
from longtail.errors import CheckpointError, DataError, NumericError


def a_record(**changes):
    split = metrics.summarise([0, 0, 1, 2], [0, 1, 1, 2], [500, 50, 5, 1])
    values = {
        "method": "rcl",
        "recipe": "common",
        "knobs": {"temperature": 0.1, "la_tau": 1.3, "layers": [1, 2]},
        "settings": {"epochs": 200, "schedule": "cosine", "nesterov": False, "warmup": None},
        "backbone": "resnet32",
        "seed": 3,
        "data": record.DataSummary(
            name="pets-lt",
            source="a folder of pictures",
            hash="ab12",
            kind="photo",
            class_names=("köter", "cat", "emu", "axolotl"),
            train_counts=(500, 50, 5, 1),
            groups={"many": (0,), "medium": (1,), "few": (2, 3)},
            test_size=4,
            holdout=None,
            input_shape=(32, 32, 3),
            image_size=32,
            mean=(0.5, 0.25, 1 / 3),
            std=(0.1, 0.1, 0.1),
            notes=("Nothing was cut.",),
        ),
        "decisions": record.Decisions(precision="float32", threads=2, compile=False, device="cpu"),
        "provenance": record.Provenance(
            source_hash=record.source_hash(),
            revision=None,
            versions=record.versions(["numpy", "no-such-distribution"]),
            hardware=record.hardware(),
            seconds=12.5,
            images_per_second=1000.0,
            parameters=464154,
            steps=100,
        ),
        "metrics": record.RunMetrics(test=split, holdout=None),
        "selected_epoch": 200,
        "selection": "last epoch",
        "best_on_test": record.BestOnTest(
            epoch=150,
            accuracy=0.75,
            balanced_accuracy=0.8,
            harmonic_mean_accuracy=0.7,
            many=0.5,
            medium=None,
            few=1.0,
        ),
        "command": "longtail train pets --method rcl --seed 3",
    }
    return record.Record(**values | changes)


def some_predictions(num_classes=4, n=5, **extras):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, num_classes)).astype(np.float32)
    labels = rng.integers(0, num_classes, n)
    return record.predictions_of(np.arange(n)[::-1], labels, logits, **extras)


def full_predictions():
    rng = np.random.default_rng(1)
    return some_predictions(
        embeddings=rng.normal(size=(5, 3)),
        prototypes=rng.normal(size=(4, 3)),
        thumbnails=rng.integers(0, 256, (5, 32, 32, 3)),
    )


def assert_same_predictions(found, expected):
    for field in dataclasses.fields(record.Predictions):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(a, b, strict=b is not None, err_msg=field.name)


def written(path):
    """The record of `a_record` as JSON values, for a test to damage."""
    a_record().write(path)
    return json.loads(path.read_text(encoding="utf-8"))


# The record


def test_a_record_comes_back_equal(tmp_path):
    kept = a_record()
    kept.write(tmp_path / "record.json")
    assert record.read_record(tmp_path / "record.json") == kept


def test_the_file_names_what_the_design_names(tmp_path):
    value = written(tmp_path / "record.json")
    assert value["schema_version"] == 1
    assert set(value["metrics"]) == {"test", "holdout"}
    assert value["metrics"]["test"]["per_class"] == [0.5, 1.0, 1.0, None]
    assert value["metrics"]["test"]["few"] == 1.0
    assert value["data"]["groups"] == {"few": [2, 3], "many": [0], "medium": [1]}
    assert value["provenance"]["versions"]["no-such-distribution"] is None
    assert "köter" in (tmp_path / "record.json").read_text(encoding="utf-8")


def test_equal_records_give_equal_bytes_whatever_the_order_of_their_knobs(tmp_path):
    one = a_record(knobs={"a": 1, "b": {"c": 2, "d": 3}}, created="2025-01-01T00:00:00+00:00")
    other = dataclasses.replace(one, knobs={"b": {"d": 3, "c": 2}, "a": 1})
    one.write(tmp_path / "one.json")
    other.write(tmp_path / "other.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_writing_what_was_read_gives_the_same_bytes(tmp_path):
    a_record().write(tmp_path / "one.json")
    record.read_record(tmp_path / "one.json").write(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path):
    provenance = dataclasses.replace(a_record().provenance, images_per_second=math.nan)
    kept = a_record(knobs={"margin": math.inf, "taus": [1.0, -math.inf]}, provenance=provenance)
    kept.write(tmp_path / "record.json")
    text = (tmp_path / "record.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    found = record.read_record(tmp_path / "record.json")
    assert found.knobs == {"margin": None, "taus": [1.0, None]}
    assert math.isnan(found.provenance.images_per_second)


def test_numpy_values_are_written_as_plain_numbers(tmp_path):
    kept = a_record(seed=np.int64(3), knobs={"weights": np.array([0.5, np.nan])})
    kept.write(tmp_path / "record.json")
    found = record.read_record(tmp_path / "record.json")
    assert type(found.seed) is int
    assert found.knobs == {"weights": [0.5, None]}


def test_a_class_name_that_is_no_utf8_survives(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    data = dataclasses.replace(a_record().data, class_names=(name, "b", "c", "d"))
    a_record(data=data).write(tmp_path / "record.json")
    assert record.read_record(tmp_path / "record.json").data.class_names[0] == name


def test_a_newer_record_asks_for_an_upgrade(tmp_path):
    value = written(tmp_path / "record.json") | {"schema_version": 2, "added": 1}
    (tmp_path / "record.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"record.json: written by a newer .*version 2"):
        record.read_record(tmp_path / "record.json")


def test_a_missing_record_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError, match=r"record.json: no such file.*--resume"):
        record.read_record(tmp_path / "record.json")


def test_a_folder_in_place_of_a_record_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        record.read_record(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"{}", b'{"schema_version": NaN}', b"[" * 100_000],
)
def test_other_bytes_are_no_record(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"record.json: not a run record \("):
        record.read_record(tmp_path / "record.json")


def test_every_half_written_record_is_refused(tmp_path):
    a_record().write(tmp_path / "record.json")
    content = (tmp_path / "record.json").read_bytes()
    for length in range(0, len(content) - 2, 37):
        (tmp_path / "record.json").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="not a run record"):
            record.read_record(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("keys", "wrong", "message"),
    [
        (["seed"], "3", r"record.seed is '3', expected int"),
        (["seed"], True, r"record.seed is True, expected int"),
        (["seed"], 3.0, r"record.seed is 3.0, expected int"),
        (["recipe"], "secret", r"record.recipe is 'secret', expected"),
        (["data"], None, r"record.data is None, expected DataSummary"),
        (["data", "class_names"], "abc", r"record.data.class_names is 'abc'"),
        (["data", "train_counts"], [1, "2"], r"record.data.train_counts\[1\] is '2'"),
        (["data", "groups"], {"lots": [1]}, r"record.data.groups is 'lots'"),
        (["metrics", "test", "accuracy"], "1", r"record.metrics.test.accuracy is '1'"),
        (["metrics", "test", "f1"], 1.0, r"record.metrics.test has unknown f1"),
        (["provenance", "seconds"], 10**400, r"too large"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_place(tmp_path, keys, wrong, message):
    value = written(tmp_path / "record.json")
    place = value
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = wrong
    (tmp_path / "record.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        record.read_record(tmp_path / "record.json")


def test_a_key_that_is_missing_is_named(tmp_path):
    value = written(tmp_path / "record.json")
    del value["data"]["notes"], value["data"]["hash"]
    (tmp_path / "record.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"record\.data lacks hash, notes"):
        record.read_record(tmp_path / "record.json")


# Atomic writing


@pytest.mark.parametrize(
    ("fault", "seen"),
    [(OSError(28, "No space left"), CheckpointError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_stop_before_the_replace_leaves_the_old_file_alone(tmp_path, monkeypatch, fault, seen):
    record.write_atomically(tmp_path / "record.json", b"old")

    def stop(*_):
        raise fault

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(seen):
        record.write_atomically(tmp_path / "record.json", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]
    assert (tmp_path / "record.json").read_bytes() == b"old"


def test_the_draft_is_complete_on_disk_before_it_replaces_the_old_file(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append(a.read_bytes()) or replace(a, b))
    record.write_atomically(tmp_path / "record.json", b"new")
    assert calls == ["fsync", b"new"]


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for parent in ("missing", "file"):
        with pytest.raises(CheckpointError, match=rf"{parent}/record.json: cannot be written"):
            a_record().write(tmp_path / parent / "record.json")


# Predictions


@pytest.mark.parametrize("make", [some_predictions, full_predictions])
def test_predictions_come_back_equal(tmp_path, make):
    kept = make()
    kept.write(tmp_path / "predictions.npz")
    assert_same_predictions(record.read_predictions(tmp_path / "predictions.npz"), kept)


def test_equal_predictions_give_equal_bytes(tmp_path):
    full_predictions().write(tmp_path / "one.npz")
    full_predictions().write(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_decision_is_taken_before_half_precision_makes_logits_equal(tmp_path):
    logits = np.array([[1.0, 1.00001], [1.00001, 1.0]], np.float32)
    record.predictions_of([0, 1], [1, 0], logits).write(tmp_path / "predictions.npz")
    found = record.read_predictions(tmp_path / "predictions.npz")
    assert found.logits[0, 0] == found.logits[0, 1]
    np.testing.assert_array_equal(found.predicted, [1, 0])
    assert metrics.summarise(found.labels, found.predicted, [5, 5]).accuracy == 1.0


def test_many_classes_keep_the_largest_logits_in_falling_order():
    rng = np.random.default_rng(2)
    logits = rng.permuted(np.arange(1500 * 1201, dtype=np.float32).reshape(1500, 1201), axis=1)
    logits = logits % 1201  # no two equal in a row, and exact in half precision
    kept = record.predictions_of(np.arange(1500), np.zeros(1500), logits)
    full_order = np.argsort(-logits, axis=1)[:, :100]
    np.testing.assert_array_equal(kept.logit_classes, full_order)
    np.testing.assert_array_equal(kept.logits, np.take_along_axis(logits, full_order, axis=1))
    np.testing.assert_array_equal(kept.predicted, full_order[:, 0])


def test_a_thousand_classes_still_keep_every_logit():
    assert some_predictions(1000).logits.shape == (5, 1000)
    assert some_predictions(1000).logit_classes is None
    assert some_predictions(1001).logits.shape == (5, 100)


def test_logits_beyond_half_precision_stay_finite():
    kept = record.predictions_of([0], [1], np.array([[-1e6, 1e6]], np.float32))
    np.testing.assert_array_equal(kept.logits, [[-65504, 65504]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_of_a_diverged_model_are_refused(bad):
    with pytest.raises(NumericError, match="diverged"):
        record.predictions_of([0], [1], np.array([[0.0, bad]]))


@pytest.mark.parametrize(
    ("extras", "name"),
    [
        ({"thumbnails": np.zeros((5, 28, 28, 3))}, "thumbnails"),
        ({"embeddings": np.zeros((4, 3))}, "embeddings"),
        ({"prototypes": np.zeros(3)}, "prototypes"),
    ],
)
def test_arrays_of_another_shape_are_named(extras, name):
    with pytest.raises(DataError, match=f"{name} is .*, not "):
        some_predictions(**extras)


def test_labels_of_another_length_are_named():
    with pytest.raises(DataError, match=r"labels is int64 \(1,\), not int64 \(2,\)"):
        record.predictions_of([0, 1], [0], np.zeros((2, 3)))


def test_every_damaged_byte_of_predictions_is_found_or_harmless(tmp_path):
    path, kept = tmp_path / "predictions.npz", some_predictions(embeddings=np.ones((5, 2)))
    kept.write(path)
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x81
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            assert_same_predictions(record.read_predictions(path), kept)


def test_every_half_written_predictions_file_is_refused(tmp_path):
    path = tmp_path / "predictions.npz"
    some_predictions().write(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"predictions.npz: not a pred.* \(.+\)"):
            record.read_predictions(path)


def test_predictions_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "predictions.npz", index=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle=False"):
        record.read_predictions(tmp_path / "predictions.npz")


@pytest.mark.parametrize("name", ["predicted", "embeddings"])
def test_a_lost_array_does_not_pass_for_an_absent_one(tmp_path, name):
    some_predictions().write(tmp_path / "predictions.npz")
    with np.load(tmp_path / "predictions.npz") as archive:
        rest = {key: value for key, value in archive.items() if key != name}
    np.savez(tmp_path / "predictions.npz", **rest)
    with pytest.raises(CheckpointError, match=name):
        record.read_predictions(tmp_path / "predictions.npz")


def test_missing_predictions_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"predictions.npz: no such file"):
        record.read_predictions(tmp_path / "predictions.npz")


# Provenance


def a_package(folder):
    (folder / "sub").mkdir(parents=True)
    (folder / "a.py").write_bytes(b"one")
    (folder / "sub" / "b.py").write_bytes(b"two")
    return folder


def test_source_hash_sees_code_and_names_and_nothing_else(tmp_path):
    package = a_package(tmp_path / "package")
    before = record.source_hash(package)
    (package / "notes.txt").write_bytes(b"no code")
    assert record.source_hash(package) == before
    assert record.source_hash(a_package(tmp_path / "elsewhere")) == before
    (package / "a.py").rename(package / "c.py")
    renamed = record.source_hash(package)
    (package / "c.py").write_bytes(b"One")
    assert len({before, renamed, record.source_hash(package)}) == 3


def test_numeric_hash_sees_what_trains_and_nothing_else(tmp_path):
    package = a_package(tmp_path / "package")
    for name in ("losses/plain.py", "keyed.py", "report/page.py", "cli/train.py", "metrics/x.py"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_bytes(b"one")
    before = record.numeric_hash(package)
    for name in ("report/page.py", "cli/train.py", "metrics/x.py", "a.py"):
        (package / name).write_bytes(b"two")
        assert record.numeric_hash(package) == before
    for name in ("losses/plain.py", "keyed.py"):
        (package / name).write_bytes(b"two")
        assert record.numeric_hash(package) != before
        (package / name).write_bytes(b"one")


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_revision_is_the_commit_and_says_when_it_was_edited(tmp_path):
    package = a_package(tmp_path / "package")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    git(tmp_path, "tag", "-a", "v1", "-m", "a tag must not replace the commit")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert record.revision(package) == commit
    (package / "a.py").write_bytes(b"edited")
    assert record.revision(package) == f"{commit}-dirty"


def test_revision_is_none_outside_a_checkout_and_where_another_project_is_checked_out(tmp_path):
    package = a_package(tmp_path / "site-packages")
    assert record.revision(package) is None
    (tmp_path / "other").write_bytes(b"")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "other")
    git(tmp_path, "commit", "-qm", "another project")
    assert record.revision(package) is None


def test_revision_is_none_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record.revision() is None


def test_hardware_names_a_processor_its_usable_cores_and_the_given_gpu():
    found = record.hardware("Some GPU")
    assert found.cpu
    assert 1 <= found.cores <= os.cpu_count()
    assert found.gpu == "Some GPU"
    assert record.hardware().gpu is None


def test_versions_are_those_installed_and_none_for_the_rest():
    found = record.versions(["numpy", "no-such-distribution"])
    assert found["numpy"] == np.__version__
    assert found["no-such-distribution"] is None
    assert found["python"].startswith("3.")


@pytest.mark.parametrize("name", ["index", "labels", "predicted", "logits"])
def test_predictions_without_what_they_cannot_lack_are_refused(tmp_path, name):
    path = tmp_path / "predictions.npz"
    arrays = {n: np.array(False) for n in record.Predictions.__dataclass_fields__}
    arrays |= {n: np.zeros(3, np.int64) for n in ("index", "labels", "predicted")}
    arrays["logits"] = np.zeros((3, 2), np.float16)
    np.savez(path, **arrays)
    assert len(record.read_predictions(path).labels) == 3
    np.savez(path, **arrays | {name: np.array(False)})
    with pytest.raises(CheckpointError, match=f"{name} are missing"):
        record.read_predictions(path)
    np.savez(path, **arrays | {"logits": np.full((3, 2), np.nan, np.float16)})
    with pytest.raises(CheckpointError, match="not finite"):
        record.read_predictions(path)
