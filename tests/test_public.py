"""The public face: what `import longtail` and `longtail.losses` promise to other people's code.

That importing it imports no torch is tested with the help of the command line.
"""

import ast
import inspect
import tomllib
from pathlib import Path

import pytest
import torch

import longtail
from longtail import losses

ROOT = Path(__file__).resolve().parent.parent

# Positional parameters with their defaults; what is keyword-only may grow.
SIGNATURES = {
    "SupervisedContrastiveLoss": {"temperature": 0.1},
    "BalancedContrastiveLoss": {"class_counts": inspect.Parameter.empty, "temperature": 0.1},
    "RebalancedContrastiveLoss": {
        "class_counts": inspect.Parameter.empty,
        "temperature": 0.1,
        "class_average": False,
    },
    "BalancedSoftmaxLoss": {"class_counts": inspect.Parameter.empty},
    "LogitAdjustedLoss": {"class_counts": inspect.Parameter.empty, "la_tau": 1.0},
}


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert longtail.__version__ == project["version"]


def test_every_promised_name_is_there_and_no_other_resolves():
    for name in longtail.__all__:
        assert getattr(longtail, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        longtail.trian  # noqa: B018


def test_train_takes_data_and_a_method_by_position_and_the_rest_by_name():
    parameters = inspect.signature(longtail.train).parameters.values()
    positional = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert positional == ["data", "method"]
    assert list(inspect.signature(longtail.load).parameters) == ["path"]
    for method in ("evaluate", "predict"):
        assert callable(getattr(longtail.Run, method))


@pytest.mark.parametrize("name", SIGNATURES)
def test_losses_are_made_with_the_arguments_that_were_promised(name):
    loss = getattr(losses, name)
    given = {
        p.name: p.default
        for p in inspect.signature(loss).parameters.values()
        if p.name in SIGNATURES[name] or p.kind is not inspect.Parameter.KEYWORD_ONLY
    }
    assert given == SIGNATURES[name]


@pytest.mark.parametrize("name", [name for name in SIGNATURES if "Contrastive" in name])
def test_contrastive_losses_take_features_labels_and_perhaps_prototypes(name):
    counts = [] if name.startswith("Supervised") else [[50, 5, 2]]
    loss = getattr(losses, name)(*counts)
    features = torch.randn(8, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 0, 1, 2]).repeat(2)
    for value in (loss(features, labels), loss(features, labels, torch.eye(3, 4))):
        assert value.shape == ()
        assert torch.isfinite(value)
    # Rows are normalised unless that is switched off.
    assert loss(3 * features, labels).item() == pytest.approx(loss(features, labels).item(), 1e-5)
    as_is = getattr(losses, name)(*counts, normalize=False)
    assert as_is(3 * features, labels).item() != pytest.approx(as_is(features, labels).item(), 1e-3)


def test_every_public_name_of_the_package_has_a_docstring():
    undocumented = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert undocumented == []


def test_no_function_of_the_public_face_shares_a_module_name():
    modules = {path.stem for path in (ROOT / "src" / "longtail").iterdir()}
    assert not modules & (set(longtail.__all__) - {"__version__"})
