"""What one run is asked for, and the plan and the command line that follow from it."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.data.dataset import Dataset
from longtail.data.load import load_dataset, prepare
from longtail.errors import UsageError
from longtail.methods.resolve import RecipeKind, resolve
from longtail.nn.encoders import default_backbone
from longtail.recipe import DataInfo
from longtail.training.decisions import Switch, pixels_seen
from longtail.training.folder import decisions_for
from longtail.training.plan import Plan, make_plan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One run as it was asked for; what is left out is decided by the data and the machine.

    Attributes:
        data: a name, a path, or a `Dataset`.
        method, seed, knobs, recipe, backbone, epochs, batch_size, imbalance, holdout, image_size,
            eval_every, device, precision, threads, compile: as in `longtail.train`.

    Raises:
        UsageError: a seed that is no unsigned 32-bit number.
    """

    data: str | Dataset
    method: str = "rcl"
    seed: int = 0
    knobs: Mapping[str, object] = dataclasses.field(default_factory=dict)
    recipe: RecipeKind = "common"
    backbone: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    imbalance: float | None = None
    holdout: str | None = None
    image_size: int | None = None
    eval_every: int | None = None
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    compile: Switch = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed {self.seed}: it must lie in 0..{2**32 - 1}.")


def load_data(request: Request) -> Dataset:
    """The data of a request, cut and with their hold-out.

    Raises:
        UsageError, DataError: as `load_dataset`.
    """
    cut_and_holdout: dict[str, Any] = {"imbalance": request.imbalance, "holdout": request.holdout}
    if isinstance(request.data, Dataset):
        return prepare(request.data, **cut_and_holdout)
    return load_dataset(request.data, image_size=request.image_size, **cut_and_holdout)


def plan_run(request: Request, dataset: Dataset, stored: dict[str, Any] | None = None) -> Plan:
    """What a request comes to on these data and this machine, all of it settled.

    Args:
        request: as typed.
        dataset: `load_data(request)`.
        stored: configuration of the run that is gone on with, whose decisions are kept.

    Raises:
        UsageError, DataError: as `resolve` and `make_plan`.
    """
    resolved = resolve(
        request.method,
        DataInfo(dataset.counts),
        knobs=request.knobs,
        recipe=request.recipe,
        epochs=request.epochs,
        batch_size=request.batch_size,
    )
    decisions = decisions_for(
        stored,
        request.device,
        request.precision,
        request.threads,
        request.compile,
        pixels=pixels_seen(dataset, resolved),
    )
    return make_plan(
        dataset,
        resolved,
        backbone=request.backbone or default_backbone(dataset.input_shape),
        seed=request.seed,
        eval_every=request.eval_every,
        decisions=decisions,
    )


def words_of(request: Request, plan: Plan, folder: Path) -> list[str]:
    """What to type after `longtail` to run a plan again, with every decision spelled out."""
    resolved, decisions, data = plan.resolved, plan.decisions, request.data
    settings = dataclasses.asdict(resolved.settings)
    sizes = {name: settings.pop(name) for name in ("epochs", "batch_size")}
    asked = {
        "--imbalance": request.imbalance,
        "--holdout": request.holdout,
        "--image-size": request.image_size,
    }
    words = ["train", data if isinstance(data, str) else data.name]
    flags = {
        "--method": resolved.method,
        "--recipe": resolved.recipe_kind,
        "--backbone": plan.backbone,
        "--epochs": sizes["epochs"],
        "--batch-size": sizes["batch_size"],
        "--seed": plan.seed,
        **{name: value for name, value in asked.items() if value is not None},
        "--eval-every": plan.eval_every,
        "--device": decisions.device,
        "--precision": decisions.precision,
        "--threads": decisions.threads,
        "--compile": "on" if decisions.compile else "off",
        "--out": folder,
    }
    for flag, value in flags.items():
        words += [flag, str(value)]
    for name, value in {**resolved.knobs, **settings}.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += ["--set", f"{name}={text}"]
    return words


def command_of(words: list[str]) -> str:
    """Words after `longtail` as a line for a shell."""
    return shlex.join(["longtail", *words])
