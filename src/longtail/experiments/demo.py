"""The demo: four methods on a long tail of scikit-learn's digits, three seeds each, in a minute."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longtail.data.dataset import Dataset
from longtail.data.load import load_dataset
from longtail.evaluation import measure
from longtail.methods import METHODS
from longtail.methods.resolve import resolve
from longtail.recipe import DataInfo
from longtail.record import SplitMetrics
from longtail.training.decisions import decide, usable_cores
from longtail.training.loop import fit, initial_state
from longtail.training.plan import Plan, make_plan
from longtail.training.scoring import score_split
from longtail.training.state import TrainState
from longtail.training.threads import torch_threads

DEMO_METHODS = ("ce", "logit-adjustment", "bcl", "rcl")
SEEDS = (0, 1, 2)
_COLUMNS = {
    "balanced accuracy": "balanced_accuracy",
    "harmonic mean": "harmonic_mean_accuracy",
    "medium": "medium",
    "few": "few",
}


class Trained(NamedTuple):
    """One run of the demo.

    Attributes:
        method: its name.
        metrics: on test.
        steps: taken.
    """

    method: str
    metrics: SplitMetrics
    steps: int


def run_demo(out: Path, *, seeds: Sequence[int] = SEEDS, epochs: int = 40) -> Iterator[str]:
    """Train, and yield the lines of the table; the picture is written to `out`/demo.svg.

    Args:
        out: folder, made if missing; an older picture in it is replaced.
        seeds: of each method.
        epochs: of each run; 6 steps each.
    """
    began = time.monotonic()
    out.mkdir(
        parents=True, exist_ok=True
    )  # first: a folder that may not be written costs no minute
    dataset = load_dataset("digits-lt")
    assert dataset.test is not None  # scikit-learn's digits are split by us
    yield f"{dataset.name}: {', '.join(map(str, dataset.counts))} training pictures a class"
    plans = [demo_plan(dataset, method, seed, epochs) for seed in seeds for method in DEMO_METHODS]
    # Initial weights are drawn from torch's global generator, which threads would share.
    states = [initial_state(plan, dataset) for plan in plans]
    trained: list[Trained] = []
    # Pictures of 8x8 keep no second core busy within an operation; a second run does.
    with torch_threads(1), ThreadPoolExecutor(usable_cores()) as pool:
        for plan, run in zip(plans, pool.map(partial(_train, dataset), plans, states), strict=True):
            trained.append(run)
            shown = f"{100 * run.metrics.balanced_accuracy:.1f}"
            title = METHODS[run.method].title
            yield f"  seed {plan.seed}  {title:17} balanced accuracy {shown} %"
    _draw(trained, dataset.counts, out / "demo.svg")
    yield ""
    yield from _table(trained)
    yield ""
    yield (
        f"Per cent, mean ± standard deviation over {len(seeds)} seeds of {trained[0].steps} steps; "
        f"{len(dataset.test):,} test pictures; data hash {dataset.data_hash[:16]}."
    )
    yield f"Accuracy by class: {out / 'demo.svg'}  ({time.monotonic() - began:.0f} s in all)"


def demo_plan(dataset: Dataset, method: str, seed: int, epochs: int) -> Plan:
    """The settings of every run of the demo: ResNet-8, batches of 64, a rate of 0.1."""
    resolved = resolve(
        method, DataInfo(dataset.counts), knobs={"lr": 0.1}, epochs=epochs, batch_size=64
    )
    return make_plan(
        dataset,
        resolved,
        backbone="resnet8",
        seed=seed,
        eval_every=epochs,
        # fp32, which every processor has: the demo's numbers are to be everyone's.
        decisions=decide("cpu", "fp32", 1, "off"),
    )


def _train(dataset: Dataset, plan: Plan, state: TrainState) -> Trained:
    assert dataset.test is not None
    fit(plan, dataset, state)
    scores = score_split(plan, state.model, dataset.test)
    metrics = measure(scores, dataset.test, dataset.counts)
    return Trained(plan.resolved.method, metrics, state.step)


def _table(trained: Sequence[Trained]) -> Iterator[str]:
    yield f"{'':17}" + "".join(f"{name:>20}" for name in _COLUMNS)
    for method in DEMO_METHODS:
        runs = [run.metrics for run in trained if run.method == method]
        cells = (_mean_and_deviation([getattr(m, f) for m in runs]) for f in _COLUMNS.values())
        yield f"{METHODS[method].title:17}" + "".join(f"{cell:>20}" for cell in cells)


def _mean_and_deviation(fractions: Sequence[float | None]) -> str:
    values = [100 * fraction for fraction in fractions if fraction is not None]
    if not values:
        return "–"
    deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{deviation}"


def _draw(trained: Sequence[Trained], counts: npt.NDArray[np.int64], path: Path) -> None:
    """Accuracy of each class, from the most frequent to the rarest, a line a method."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    order = np.argsort(-counts, kind="stable")
    figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
    for shift, method in zip(
        np.linspace(-0.15, 0.15, len(DEMO_METHODS)), DEMO_METHODS, strict=True
    ):
        shares = np.array([r.metrics.per_class for r in trained if r.method == method], np.float64)
        axes.errorbar(
            np.arange(len(order)) + shift,
            100 * shares.mean(0)[order],
            yerr=100 * shares.std(0, ddof=min(1, len(shares) - 1))[order],
            marker="o",
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=METHODS[method].title,
        )
    axes.set_xticks(range(len(order)), [f"{label}\n{counts[label]}" for label in order])
    axes.set_xlabel("digit, and its number of training pictures")
    axes.set_ylabel("test accuracy, %, mean ± std over seeds")
    axes.set_ylim(top=101)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", frameon=False)
    figure.savefig(path)
    plt.close(figure)
