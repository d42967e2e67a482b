"""A finished run: what it leaves, evaluates and predicts, and what it says of a broken one."""

import dataclasses
import json
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

import longtail
from longtail import launch
from longtail.cli.show import choices_lines
from longtail.data.dataset import Dataset
from longtail.errors import CheckpointError, DataError, UsageError
from longtail.methods.resolve import parse_assignments
from longtail.record import read_predictions
from longtail.training.folder import locked
from tiny import KNOBS, corrupt, pictures, tiny_dataset, vectors

OPTIONS = {
    "epochs": 3,
    "batch_size": 5,
    "precision": "fp32",
    "threads": 1,
    "progress": False,
    "checkpoint_seconds": 1e9,
}


def train(folder, dataset: Dataset | str, method: str = "bcl", **options):
    knobs = KNOBS if method == "bcl" else {"lr": 0.05}
    backbone = "mlp-w8" if getattr(dataset, "kind", "") == "vector" else "resnet8-w4"
    arguments = {"backbone": backbone, "knobs": knobs, "out": folder, **OPTIONS, **options}
    return launch.train(dataset, method, **arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on pictures with a hold-out; tests only read it."""
    return train(tmp_path_factory.mktemp("runs") / "run", tiny_dataset(holdout=True))


@pytest.fixture(scope="module")
def on_vectors(tmp_path_factory):
    dataset = tiny_dataset(kind="vector")
    return train(tmp_path_factory.mktemp("runs") / "run", dataset, "logit-adjustment")


def test_a_run_leaves_its_files_and_opens_as_itself(finished):
    names = {path.name for path in finished.folder.iterdir()} - {".lock"}
    assert names == {
        *("config.json", "log.jsonl", "model.safetensors", "record.json", "checkpoints"),
        *("predictions-test.npz", "predictions-holdout.npz"),
    }
    opened = longtail.load(finished.folder)
    assert opened.record == finished.record
    assert opened.record.data.train_counts == (12, 6, 4)
    assert opened.record.selection == "hold-out"
    assert opened.record.best_on_test is None
    assert opened.record.provenance.steps == 12


def test_what_is_kept_says_what_the_record_says(finished):
    metrics = finished.record.metrics
    for name, kept in (("test", metrics.test), ("holdout", metrics.holdout)):
        predictions = read_predictions(finished.folder / f"predictions-{name}.npz")
        assert (predictions.predicted == predictions.labels).mean() == kept.accuracy
        assert predictions.prototypes.shape == (3, 4)
        assert predictions.thumbnails.shape[1:] == (32, 32, 3)


def test_the_kept_model_is_that_of_the_selected_epoch(finished):
    assert finished.evaluate(tiny_dataset(holdout=True)) == finished.record.metrics.test
    again = dataclasses.replace(tiny_dataset(), test=tiny_dataset(holdout=True).holdout)
    assert finished.evaluate(again) == finished.record.metrics.holdout
    assert finished.evaluate() == finished.record.metrics.test


def test_without_a_hold_out_the_last_epoch_is_evaluated(on_vectors):
    record = on_vectors.record
    assert (record.selected_epoch, record.selection) == (3, "last epoch")
    assert record.metrics.holdout is None
    assert 1 <= record.best_on_test.epoch <= 3
    assert on_vectors.evaluate(tiny_dataset(kind="vector")) == record.metrics.test


def test_arrays_are_predicted_as_in_the_kept_predictions(finished):
    test = tiny_dataset().test
    kept = read_predictions(finished.folder / "predictions-test.npz")
    predicted = finished.predict(test.inputs, top_k=3)
    names = finished.record.data.class_names
    assert [p.classes[0] for p in predicted] == [names[c] for c in kept.predicted]
    assert [p.source for p in predicted] == [str(row) for row in range(12)]
    for one in predicted:
        assert set(one.classes) == set(names)
        assert list(one.probabilities) == sorted(one.probabilities, reverse=True)
        assert sum(one.probabilities) == pytest.approx(1, abs=1e-6)
    assert [len(p.classes) for p in finished.predict(test.inputs[:2])] == [1, 1]
    assert len(finished.predict(test.inputs[:1], top_k=99)[0].classes) == 3
    assert finished.predict(test.inputs[:0]) == []


def test_files_are_predicted_as_their_pixels(finished, tmp_path):
    pixels = pictures().inputs[:2]
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)
    from_files, from_array = finished.predict(paths), finished.predict(pixels)
    assert [p.source for p in from_files] == [str(path) for path in paths]
    assert [p[1:] for p in from_files] == [p[1:] for p in from_array]
    assert finished.predict([]) == []


def test_vectors_of_any_float_are_predicted(on_vectors):
    rows = vectors().inputs
    single, double = (on_vectors.predict(rows.astype(t)) for t in (np.float32, np.float64))
    assert single == double


@pytest.mark.parametrize("shape", [(2, 9, 9, 3), (2, 8, 8), (2, 8, 8, 1), (2, 5)])
def test_inputs_of_another_shape_are_refused(finished, shape):
    with pytest.raises(DataError, match=r"shape.*trained on\s*\(8, 8, 3\)"):
        finished.predict(np.zeros(shape, np.uint8))


def test_files_for_vectors_and_files_that_are_no_pictures_are_refused(
    finished, on_vectors, tmp_path
):
    (tmp_path / "no.png").write_text("not a picture")
    with pytest.raises(DataError, match="trained on vectors"):
        on_vectors.predict([tmp_path / "no.png"])
    with pytest.raises(DataError, match=r"no\.png"):
        finished.predict([tmp_path / "no.png"])
    with pytest.raises(DataError, match=r"missing\.png"):
        finished.predict([tmp_path / "missing.png"])


@pytest.mark.parametrize("data", [None, "its own"])
def test_logit_adjustment_afterwards_is_that_of_the_posthoc_method(tmp_path, data):
    dataset = tiny_dataset(kind="vector")
    plain = train(tmp_path / "plain", dataset, "ce")
    knobs = {"lr": 0.05, "la_tau": 2.0}
    adjusted = train(tmp_path / "adjusted", dataset, "posthoc-logit-adjustment", knobs=knobs)
    data = data and dataset
    assert plain.evaluate(data, la_tau=2.0) == adjusted.evaluate(data)
    assert plain.evaluate(data, la_tau=2.0) != plain.evaluate(data)
    with pytest.raises(UsageError, match="la_tau is -1"):
        plain.evaluate(data, la_tau=-1)


def test_the_largest_logits_alone_are_not_adjusted(tmp_path, monkeypatch):
    plain = train(tmp_path / "plain", tiny_dataset(kind="vector"), "ce")
    kept = read_predictions(plain.folder / "predictions-test.npz")
    few = dataclasses.replace(kept, logit_classes=np.zeros(kept.logits.shape, np.int32))
    monkeypatch.setattr("longtail.run.read_predictions", lambda path: few)
    with pytest.raises(DataError, match="name the DATA"):
        plain.evaluate(la_tau=1.0)
    plain.evaluate()


def test_the_prior_is_not_taken_off_twice(finished, on_vectors):
    for run in (finished, on_vectors):
        with pytest.raises(UsageError, match="accounts for the class prior already"):
            run.evaluate(la_tau=1.0)


def test_other_data_are_refused(finished):
    other = dataclasses.replace(tiny_dataset(), class_names=("cat", "dog", "owl"))
    with pytest.raises(DataError, match=r"cat, dog, owl.*dark, grey, bright"):
        finished.evaluate(other)
    with pytest.raises(DataError, match="no test split"):
        finished.evaluate(dataclasses.replace(tiny_dataset(), test=None))
    with pytest.raises(DataError, match="shape"):
        finished.evaluate(tiny_dataset(kind="vector"))


def test_a_run_that_has_not_finished_says_how_it_can(tmp_path):
    with pytest.raises(CheckpointError, match=r"record\.json: no such file.*--resume"):
        longtail.load(tmp_path)


def test_a_damaged_model_is_an_error_that_names_the_file(tmp_path):
    dataset = tiny_dataset(kind="vector")
    finished = train(tmp_path / "run", dataset, "ce")
    path = finished.folder / "model.safetensors"
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[:-4], b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            longtail.load(finished.folder).predict(dataset.test.inputs)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: no such file"):
        longtail.load(finished.folder).predict(dataset.test.inputs)
    again = train(tmp_path / "run", dataset, "ce", resume=True)
    assert path.read_bytes() == content
    assert again.record.metrics == finished.record.metrics


def test_a_damaged_record_is_an_error(tmp_path):
    finished = train(tmp_path / "run", tiny_dataset(kind="vector"), "ce")
    corrupt(finished.folder / "record.json", 0)
    with pytest.raises(CheckpointError, match="not a run record"):
        longtail.load(finished.folder)


@pytest.mark.parametrize("method", ["ce", "bcl"])
def test_the_recorded_command_trains_the_same_again(tmp_path, method):
    first = train(tmp_path / "a", "digits-lt", method, epochs=1, batch_size=64, holdout="0.2")
    again = typed(first.record.command.replace(str(tmp_path / "a"), str(tmp_path / "b")))
    assert again["out"] == str(tmp_path / "b")
    second = launch.train(**again, progress=False, checkpoint_seconds=1e9)
    for name in ("method", "recipe", "knobs", "settings", "backbone", "seed", "data", "decisions"):
        assert getattr(first.record, name) == getattr(second.record, name), name
    assert first.record.metrics == second.record.metrics
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert models[0] == models[1]


def typed(command: str) -> dict[str, object]:
    """A recorded command line as arguments of `launch.train`."""
    program, verb, data, *words = shlex.split(command)
    assert (program, verb) == ("longtail", "train")
    pairs = list(zip(words[::2], words[1::2], strict=True))
    flags = {flag[2:].replace("-", "_"): value for flag, value in pairs if flag != "--set"}
    for name in ("epochs", "batch_size", "seed", "eval_every", "threads"):
        flags[name] = int(flags[name])
    knobs = parse_assignments([value for flag, value in pairs if flag == "--set"])
    return {"data": data, "knobs": knobs, **flags}


def test_mistakes_are_found_before_data_are_read(tmp_path):
    missing = str(tmp_path / "missing")
    with pytest.raises(UsageError, match="Unknown method"):
        train(tmp_path / "run", missing, "rlc")
    with pytest.raises(UsageError, match="no knob"):
        train(tmp_path / "run", missing, "ce", knobs={"la_tau": 1})
    with pytest.raises(UsageError, match="no dataset longtail knows"):
        train(tmp_path / "run", missing, "ce")
    assert not (tmp_path / "run").exists()


def test_a_run_without_out_is_named_after_data_method_and_seed(tmp_path, monkeypatch):
    assert str(launch.default_folder("cifar10-lt", "rcl", 3)) == "runs/cifar10-lt-rcl-s3"
    assert launch.default_folder("pictures/birds.npz", "ce", 0).name == "birds-ce-s0"
    assert launch.default_folder(tiny_dataset(), "ce", 0).name == "tiny-ce-s0"
    monkeypatch.chdir(tmp_path)
    assert launch.default_folder(".", "ce", 0).name == f"{tmp_path.name}-ce-s0"


def test_one_flipped_bit_in_the_weights_is_noticed(finished, tmp_path):
    content = bytearray((finished.folder / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="differs from its checksum"):
        _ = longtail.Run(tmp_path, finished.record).model


def test_a_folder_that_another_process_writes_is_refused(tmp_path):
    with locked(tmp_path / "run"), pytest.raises(CheckpointError, match="another process"):
        train(tmp_path / "run", tiny_dataset())


def test_a_refused_start_leaves_no_empty_folder(tmp_path):
    with pytest.raises(UsageError, match="backbone"):
        train(tmp_path / "run", tiny_dataset(), backbone="resnet9000x")
    assert not (tmp_path / "run").exists()


def test_training_leaves_the_caller_its_threads(tmp_path):
    before = torch.get_num_threads()
    train(tmp_path / "run", tiny_dataset(kind="vector"), "ce", threads=before + 1)
    assert torch.get_num_threads() == before


def test_a_dataset_made_by_hand_is_hashed(tmp_path):
    dataset = dataclasses.replace(tiny_dataset(kind="vector"), data_hash="")
    assert train(tmp_path / "run", dataset, "ce").record.data.hash


def test_resuming_under_another_version_says_so(tmp_path, capsys):
    train(tmp_path / "run", tiny_dataset(kind="vector"), "ce")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace(torch.__version__.split("+")[0], "1.0.0"))
    train(tmp_path / "run", tiny_dataset(kind="vector"), "ce", resume=True, progress=True)
    assert "began under" in capsys.readouterr().out


def test_starting_in_a_folder_of_hidden_files_leaves_them(tmp_path):
    precious = tmp_path / "here" / ".env"
    precious.parent.mkdir()
    precious.write_text("precious")
    with pytest.raises(UsageError, match="backbone"):
        train(tmp_path / "here", tiny_dataset(), backbone="resnet9000x")
    assert precious.read_text() == "precious"


def test_a_dataset_by_hand_is_cut_and_held_out_like_any_other(tmp_path):
    record = train(
        tmp_path / "run", tiny_dataset(kind="vector"), "ce", imbalance=3, holdout="0.25"
    ).record
    assert record.data.train_counts == (9, 4, 3)
    assert record.metrics.holdout is not None
    assert record.selection == "hold-out"


def test_a_finished_run_is_left_as_it_was_by_resuming(tmp_path):
    dataset = tiny_dataset(kind="vector")
    train(tmp_path / "run", dataset, "ce")
    before = (tmp_path / "run" / "record.json").read_bytes()
    train(tmp_path / "run", dataset, "ce", resume=True)
    assert (tmp_path / "run" / "record.json").read_bytes() == before


def test_other_labels_of_the_same_pictures_are_another_configuration(tmp_path):
    dataset = tiny_dataset(kind="vector")
    train(tmp_path / "run", dataset, "ce")
    train_split = dataset.train
    labels = train_split.labels.copy()
    one, other = int(np.flatnonzero(labels == 0)[0]), int(np.flatnonzero(labels == 1)[0])
    labels[[one, other]] = labels[[other, one]]
    swapped = dataclasses.replace(dataset, train=dataclasses.replace(train_split, labels=labels))
    with pytest.raises(CheckpointError, match="labels_and_test"):
        train(tmp_path / "run", swapped, "ce", resume=True)


def test_a_set_without_splits_is_evaluated_whole(on_vectors, tmp_path):
    dataset = tiny_dataset(kind="vector")
    path = tmp_path / "all.npz"
    names = np.array(dataset.class_names)
    np.savez(path, inputs=dataset.train.inputs, labels=dataset.train.labels, class_names=names)
    assert on_vectors.confusion(str(path)).sum() == len(dataset.train)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (np.full((2, 5), np.nan, np.float32), "first in row 0"),
        (np.array([["a"] * 5]), "pass float"),
        (np.zeros((2, 4), np.float32), "trained on"),
    ],
)
def test_arrays_that_cannot_be_predicted_are_named(on_vectors, inputs, says):
    with pytest.raises(DataError, match=says):
        on_vectors.predict(inputs)


@pytest.mark.parametrize(
    ("method", "knobs", "says"),
    [
        ("ce", {"sampler": "square-root"}, "accounts for the class prior already"),
        ("posthoc-logit-adjustment", {}, "accounts for the class prior already"),
        ("cb-focal", {}, "under no known prior that could be taken off: focal loss"),
        ("ldam-drw", {}, "LDAM's margins"),
    ],
)
def test_logits_that_are_not_under_the_training_prior_are_not_adjusted(
    method, knobs, says, tmp_path
):
    knobs = {"lr": 0.05, **knobs}
    run = train(tmp_path / "run", tiny_dataset(kind="vector"), method, knobs=knobs)
    with pytest.raises(UsageError, match=says):
        run.evaluate(la_tau=1.0)
    assert run.evaluate(la_tau=0.0)


def test_logit_adjustment_at_strength_0_is_adjusted_as_cross_entropy_is(tmp_path):
    knobs = {"lr": 0.05, "la_tau": 0.0}
    dataset = tiny_dataset(kind="vector")
    run = train(tmp_path / "run", dataset, "logit-adjustment", knobs=knobs)
    assert run.evaluate(la_tau=1.0)


def test_a_routers_cost_is_recorded_and_shown(tmp_path):
    run = train(tmp_path / "run", tiny_dataset(kind="vector"), "ride")
    asked = run.record.experts_asked
    assert 1 <= asked <= 3
    inputs = torch.from_numpy(tiny_dataset(kind="vector").test.inputs)
    standard = (inputs - torch.tensor(run.record.data.mean)) / torch.tensor(run.record.data.std)
    with torch.no_grad():
        assert asked == run.model.predict_routed(standard.float())[1].double().mean().item()
    assert choices_lines(run.record) == [f"{asked:.2f} experts asked a sample"]
    chosen = dataclasses.replace(run.record, choices={"norm_tau": 1.1}, experts_asked=None)
    assert choices_lines(chosen) == ["norm_tau 1.1, chosen on the hold-out"]
    assert train(tmp_path / "ce", tiny_dataset(kind="vector"), "ce").record.experts_asked is None


def test_other_weights_at_the_teachers_place_are_another_configuration(tmp_path):
    dataset = tiny_dataset(kind="vector")
    teacher = train(tmp_path / "teacher", dataset, "ce")
    options = {"knobs": {"lr": 0.05, "teacher": str(teacher.folder)}}
    train(tmp_path / "run", dataset, "ride", **options)
    weights = teacher.folder / "model.safetensors"
    other = train(tmp_path / "other", dataset, "ce", seed=1).folder / "model.safetensors"
    weights.write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError, match=r"teacher: .* then, .* now"):
        train(tmp_path / "run", dataset, "ride", resume=True, **options)


def test_a_teacher_that_predicts_otherwise_than_it_was_trained_is_refused(tmp_path):
    dataset = tiny_dataset(kind="vector")
    teacher = train(tmp_path / "teacher", dataset, "ncm")
    knobs = {"lr": 0.05, "teacher": str(teacher.folder)}
    with pytest.raises(DataError, match="does not predict with what it was trained by"):
        train(tmp_path / "run", dataset, "ride", knobs=knobs)


def test_the_log_says_what_samplers_drew(tmp_path):
    dataset = tiny_dataset(kind="vector")
    for method, names in (
        ("ce", set()),
        ("hybrid-psc", {"draws", "distinct", "contrast_draws", "contrast_distinct"}),
        ("balms", {"scores"}),
    ):
        run = train(tmp_path / method, dataset, method)
        last = json.loads((run.folder / "log.jsonl").read_text().splitlines()[-1])
        assert names == last.keys() & {
            *("draws", "distinct", "contrast_draws", "contrast_distinct", "scores")
        }
        if "draws" in names:
            assert sum(last["draws"]) == sum(last["contrast_draws"]) == 20  # four batches of five
