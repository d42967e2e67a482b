"""What methods leave behind: refitted classifiers, choices, and models that predict again."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.linalg import norm

from longtail.errors import DataError
from longtail.launch import train
from longtail.methods import METHODS
from longtail.methods.tau_norm import normalise
from longtail.nn.classifiers import NearestMean
from longtail.recipe import Labelled
from longtail.record import read_predictions
from longtail.run import load
from tiny import KNOBS, fresh, tiny_dataset, tiny_plan

DATA = tiny_dataset(holdout=True, kind="vector")


def run_of(method: str, folder, data=DATA, **options):
    shared = {name: value for name, value in KNOBS.items() if name != "lr"}
    knobs = shared if tiny_plan(DATA, method).resolved.recipe.heads.projection else {}
    return train(
        data,
        method,
        knobs={"lr": 0.05, **knobs, **options.pop("knobs", {})},
        epochs=options.pop("epochs", 3),
        batch_size=5,
        backbone="mlp-w8",
        precision="fp32",
        threads=1,
        progress=False,
        out=folder / method,
        **options,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_is_loaded_predicts_as_it_did(method, tmp_path):
    run = run_of(method, tmp_path)
    loaded = load(run.folder)
    assert loaded.evaluate(DATA) == run.record.metrics.test
    kept = read_predictions(run.folder / "predictions-test.npz")
    logits = loaded.score(DATA.test).logits
    assert logits == pytest.approx(kept.logits.astype(np.float64), rel=2e-3, abs=2e-3)
    assert (logits.argmax(1) == kept.predicted).all()


def features_of(run, split) -> np.ndarray:
    """Of the run's encoder in evaluation mode, standardised by hand, float64."""
    data = run.record.data
    inputs = torch.tensor((split.inputs - np.array(data.mean)) / np.array(data.std))
    with torch.no_grad():
        return run.model.encoder(inputs.float()).double().numpy()


def balanced_accuracy(predicted, labels) -> float:
    return np.mean([(predicted[labels == label] == label).mean() for label in range(3)])


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    """Cross-entropy alone, its last epoch: what tau-norm and NCM start from."""
    data = dataclasses.replace(DATA, holdout=None)
    return run_of("ce", tmp_path_factory.mktemp("runs"), data, epochs=6)


def test_tau_norm_chooses_the_best_power_on_the_hold_out(joint, tmp_path):
    run = run_of("tau-norm", tmp_path, epochs=6)
    # Epochs are judged by the classifier that is not kept, so none is chosen.
    assert (run.record.selected_epoch, run.record.selection) == (6, "last epoch")
    assert run.record.best_on_test is None
    weight = joint.model.classifier.weight.detach().double().numpy()
    features, labels = features_of(joint, DATA.holdout), DATA.holdout.labels
    best, reached = None, -1.0
    for power in [step / 10 for step in range(21)]:
        logits = features @ (weight / norm(weight, axis=1, keepdims=True) ** power).T
        accuracy = balanced_accuracy(logits.argmax(1), labels)
        if accuracy > reached:
            best, reached = power, accuracy
    assert run.record.choices == {"norm_tau": best}
    assert load(run.folder).record.choices == {"norm_tau": best}
    expected = weight / norm(weight, axis=1, keepdims=True) ** best
    assert run.model.classifier.weight.detach().numpy() == pytest.approx(expected, rel=1e-5)
    assert not run.model.classifier.bias.any()
    assert run.record.metrics.holdout.balanced_accuracy == pytest.approx(reached)


def test_tau_norm_counts_every_class_alike_and_takes_the_smallest_of_equals():
    model = fresh(tiny_plan(DATA, "tau-norm"), DATA).model
    # The second class's weights are longer and reach over the first: 3 / 5^p < 1 from p = 0.7 on.
    weight = torch.zeros(3, 8)
    weight[:, :3] = torch.tensor([[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    model.classifier.weight.data = weight
    features = torch.zeros(5, 8)
    features[:, :3] = torch.tensor(
        [[1.0, 0, 0], [0, 1.0, 0], [1.0, 0.01, 0], [1.0, 0.01, 0], [0, 0, 1.0]]
    )
    # Four of five are right below 0.7, but none of the first class; three of five above.
    holdout = Labelled(features, torch.tensor([0, 1, 1, 1, 2]))
    assert normalise(model, holdout, holdout, norm_tau="auto") == {"norm_tau": 0.7}


def test_tau_norm_needs_a_hold_out_or_a_number_before_it_trains(tmp_path):
    bare = tiny_dataset(kind="vector")
    said = r"tau-norm chooses norm_tau .* hold-out.*--holdout 0\.1.*--set norm_tau=1"
    with pytest.raises(DataError, match=said):
        run_of("tau-norm", tmp_path, bare)
    assert not (tmp_path / "tau-norm").exists()
    run = run_of("tau-norm", tmp_path, bare, knobs={"norm_tau": 1.0})
    assert run.record.choices == {}
    assert norm(run.model.classifier.weight.detach(), axis=1) == pytest.approx([1, 1, 1])


def test_ncm_predicts_the_nearest_mean_of_centred_unit_features(joint, tmp_path):
    run = run_of("ncm", tmp_path, epochs=6)
    known, asked = features_of(joint, DATA.train), features_of(joint, DATA.test)
    centre, labels = known.mean(0), DATA.train.labels
    known, asked = (
        (rows - centre) / norm(rows - centre, axis=1, keepdims=True) for rows in (known, asked)
    )
    means = np.stack([known[labels == label].mean(0) for label in range(3)])
    distances = ((asked[:, None] - means) ** 2).sum(2)
    assert run.score(DATA.test).logits == pytest.approx(-distances, abs=1e-5)
    expected = balanced_accuracy(distances.argmin(1), DATA.test.labels)
    assert run.record.metrics.test.balanced_accuracy == pytest.approx(expected)
    assert run.record.choices == {}


def test_ncm_never_predicts_a_class_that_had_no_sample():
    nearest = NearestMean(4, 3)
    draw = torch.Generator().manual_seed(0)
    features, labels = torch.randn(20, 4, generator=draw), torch.arange(20) % 2
    nearest.fit(features, labels)
    logits = nearest(torch.randn(50, 4, generator=draw))
    assert logits.isfinite().all()
    assert set(logits.argmax(1).tolist()) == {0, 1}


def test_a_refit_is_done_again_where_it_was_not_reached(tmp_path):
    run = run_of("ncm", tmp_path)
    before = (run.folder / "model.safetensors").read_bytes()
    (run.folder / "record.json").unlink()
    again = run_of("ncm", tmp_path, resume=True)
    assert (again.folder / "model.safetensors").read_bytes() == before
