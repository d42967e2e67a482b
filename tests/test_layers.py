"""Imports run only downward, and what must stay light imports nothing heavy."""

import ast
import re
from pathlib import Path

import pytest

from longtail.record import NUMERIC_PARTS

SOURCE = Path(__file__).resolve().parent.parent / "src" / "longtail"

# Lowest first; parts of one level may not import each other.
LEVELS: list[set[str]] = [
    {"errors", "prior", "keyed"},
    {"record"},
    {"losses", "metrics", "nn", "data", "optim"},
    {"recipe"},
    {"methods"},
    {"evaluation"},
    {"training"},
    {"request"},
    {"run"},
    {"launch"},
    {"experiments", "report"},
    {"inspection"},
    {"cli"},
]
WITHIN_A_LEVEL = {("prior", "errors"), ("keyed", "errors")}
ENTRIES = {"__init__", "__main__"}
HEAVY = {"torch", "torchvision", "numpy", "sklearn", "pydantic", "matplotlib", "safetensors"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(nodes: list[ast.AST]) -> set[str]:
    """Full names that import statements among `nodes` ask for: modules, and names in them."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at_import_time(path: Path) -> set[str]:
    """Imports outside functions and outside `if TYPE_CHECKING`."""

    def outer(body: list[ast.stmt]) -> list[ast.AST]:
        found: list[ast.AST] = []
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                found += outer(node.orelse)
                continue
            found.append(node)
            for field in ("body", "orelse", "finalbody", "handlers"):
                found += outer(getattr(node, field, []))
        return found

    return imported(outer(tree_of(path).body))


def own_parts(path: Path) -> set[str]:
    """Parts of longtail that a module imports anywhere, `longtail` itself as its attributes."""
    names = imported(list(ast.walk(tree_of(path))))
    return {name.split(".")[1] for name in names if name.startswith("longtail.")}


def rank(part: str) -> int:
    return next(number for number, level in enumerate(LEVELS) if part in level)


def may_import(part: str, other: str) -> bool:
    if other == "__version__" or part in (other, *ENTRIES):
        return True
    return rank(other) < rank(part) or (part, other) in WITHIN_A_LEVEL


def test_every_part_of_the_package_has_one_level():
    parts = {part_of(path) for path in modules()} - ENTRIES
    assert parts == set().union(*LEVELS)
    assert sum(map(len, LEVELS)) == len(parts)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_downward_only(path):
    part = part_of(path)
    wrong = {other for other in own_parts(path) if not may_import(part, other)}
    assert not wrong, f"{path.relative_to(SOURCE)} imports {wrong}"


def test_what_trains_needs_no_part_that_runs_are_not_addressed_by():
    aside = {"errors", "record", "metrics", "run", "experiments", "report", "inspection", "cli"}
    parts = set().union(*LEVELS)
    assert set(NUMERIC_PARTS) == parts - aside, "say of a new part whether numbers depend on it"


@pytest.mark.parametrize(
    "path", [p for p in modules() if part_of(p) == "report"], ids=lambda p: str(p.name)
)
def test_a_report_is_made_of_records_and_metrics_alone(path):
    assert own_parts(path) <= {"errors", "prior", "record", "metrics", "report"}
    assert not {name for name in imported(list(ast.walk(tree_of(path)))) if "torch" in name}


def test_the_rule_sees_an_upward_a_sideways_and_a_hidden_import(tmp_path):
    for text in (
        "from longtail.training.loop import fit",
        "def f():\n    from longtail.data import dataset",
        "import longtail.optim.schedules as s",
    ):
        path = tmp_path / "module.py"
        path.write_text(text)
        assert not all(may_import("losses", other) for other in own_parts(path)), text


def test_modules_inside_a_part_do_not_import_in_a_circle():
    graph = {name_of(path): edges(path) for path in modules()}
    finished: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' -> '.join([*above, name])}"
        if name in finished:
            return
        for other in graph[name]:
            visit(other, (*above, name))
        finished.add(name)

    for name in graph:
        visit(name, ())


def name_of(path: Path) -> str:
    dotted = ".".join(("longtail", *path.relative_to(SOURCE).with_suffix("").parts))
    return dotted.removesuffix(".__init__")


def edges(path: Path) -> set[str]:
    """Modules of longtail that must be imported before this one can be."""
    known = {name_of(other) for other in modules()}
    found = set()
    for name in at_import_time(path):
        target = name if name in known else name.rpartition(".")[0]
        found |= {target} & known
    # `from longtail.x import y` runs x/__init__ first, which holds for y's own module as well.
    return found - {name_of(path)} - {"longtail"}


@pytest.mark.parametrize("part", ["record", "metrics", "prior", "errors"])
def test_what_reads_records_never_imports_torch(part):
    for path in (path for path in modules() if part_of(path) == part):
        names = imported(list(ast.walk(tree_of(path))))
        assert not {n for n in names if re.match(r"(torch|safetensors)", n)}, path
        assert "keyed" not in own_parts(path), path


def test_the_command_line_starts_without_anything_heavy():
    paths = {name_of(path): path for path in modules()}
    reached, waiting = set(), ["longtail", "longtail.__main__", "longtail.cli"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += edges(paths[name])
    assert "longtail.cli.train" in reached
    for name in reached:
        heavy = {n.split(".")[0] for n in at_import_time(paths[name])} & HEAVY
        assert not heavy, f"{name} imports {heavy} before a verb runs"


@pytest.mark.parametrize("library", ["sklearn", "matplotlib", "torchvision", "timm", "pydantic"])
def test_libraries_that_few_need_are_imported_where_they_are_used(library):
    for path in modules():
        names = at_import_time(path)
        assert not {n for n in names if n.split(".")[0] == library}, path.relative_to(SOURCE)
