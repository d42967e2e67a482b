"""How long and how large cells are trained: the paper's setting, and stated smaller ones."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from longtail.errors import UsageError, did_you_mean
from longtail.experiments.paper.cells import IMAGENET, Cell


@dataclasses.dataclass(frozen=True)
class Budget:
    """A training budget.

    Attributes:
        name: as typed after --budget.
        means: what it is, in words.
        evidence: how near its end a run of it is, in words.
        request: what it asks of a run, by the names of `Request`.
        on: the same for one dataset, in the place of `request`.
    """

    name: str
    means: str
    evidence: str
    request: Mapping[str, Any]
    on: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def asks(self, data: str) -> dict[str, Any]:
        """What it asks of a run on a dataset."""
        return dict(self.on.get(data, self.request))


_SMALL: dict[str, Any] = {
    "backbone": "resnet8",
    "batch_size": 64,
    "knobs": {"lr": 0.2, "schedule": "cosine"},
    "eval_every": 2,
}
_TUNED = (
    "The rate was chosen among 0.05, 0.1 and 0.2 on 20 pictures a class that the cut threw away, "
    "by cross-entropy and logit adjustment alone (seed 100, CIFAR-10-LT), before any contrastive "
    "row was looked at: [how](small-budget.md)."
)

PAPER = Budget(
    "paper",
    means=(
        "the full setting: ResNet-32, 200 epochs of batches of 256 from a rate of 0.2 with steps "
        "at 80 and 90 %. The paper gives batch and rate; epochs, schedule and weight decay, which "
        "it does not, are BCL's. ImageNet-LT: a ResNet-50 of timm, 90 epochs of batches of 256, a "
        "cosine from 0.1, the epoch chosen on its val pictures; views, temperature and projection, "
        "of which the paper says little, are those of CIFAR"
    ),
    evidence="The rate has fallen a hundredfold by the end; the slope below says what is left.",
    request={"backbone": "resnet32"},
    on={
        IMAGENET: {
            "backbone": "timm:resnet50",
            "epochs": 90,
            "batch_size": 256,
            "knobs": {"lr": 0.1, "schedule": "cosine"},
        }
    },
)
SMALL = Budget(
    "small",
    means=(
        "a small one for two CPU cores: ResNet-8, 16 epochs of batches of 64, a cosine from 0.2. "
        + _TUNED
    ),
    evidence=(
        "Its ranking has NOT converged: accuracy still rises by about a point an epoch in the last "
        "quarter, as the curves below say, and lies far below what longer training reaches. It "
        "ranks what such short training gives and nothing else. Of the settings only the rate was "
        "tuned, on one seed and one dataset."
    ),
    request={**_SMALL, "epochs": 16},
)
MINUTES = Budget(
    "minutes",
    means="half of the small one: ResNet-8, 8 epochs of batches of 64, a cosine from 0.2. "
    + _TUNED,
    evidence="Far from converged: rows that learn features first show little of themselves.",
    request={**_SMALL, "epochs": 8},
)
BUDGETS = {budget.name: budget for budget in (PAPER, SMALL, MINUTES)}


def find_budget(name: str) -> Budget:
    """The budget called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in BUDGETS:
        raise UsageError(f"Unknown budget {name!r}. {did_you_mean(name, BUDGETS)}")
    return BUDGETS[name]


def refusal(cell: Cell, budget: Budget) -> str:
    """Why a cell cannot be trained under a budget whatever the machine has; empty where it can."""
    if cell.data == IMAGENET and budget.name != PAPER.name:
        return (
            "1,000 classes of 224-pixel pictures are nothing for a ResNet-8 made for 32 pixels; "
            f"type --budget paper, or --data {' --data '.join(('cifar10-lt', 'cifar100-lt'))}"
        )
    if cell.data == IMAGENET and cell.method in ("ride", "ace"):
        return (
            "its network is cut into a trunk and experts, and longtail can cut its own ResNets for "
            "small pictures alone, not a ResNet-50"
        )
    return ""
