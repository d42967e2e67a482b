"""How long the functions, modules and methods of the package are.

    python benchmarks/structure.py

Lines of code of a function, without its docstring and without what is nested in it as a class.
"""

import ast
import inspect
import statistics
from pathlib import Path

from longtail.methods import METHODS

SOURCE = Path(__file__).parents[1] / "src" / "longtail"


def body_lines(function: ast.FunctionDef) -> int:
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def main() -> None:
    lengths, modules = [], []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(SOURCE).as_posix()
        modules.append((len(text.splitlines()), name))
        lengths += [
            (body_lines(node), f"{name}:{node.name}")
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
        ]
    numbers = sorted(length for length, _ in lengths)
    print(f"{len(modules)} modules, {sum(length for length, _ in modules):,} lines")
    print(f"{len(numbers)} functions, median {statistics.median(numbers):g} lines")
    print(f"95 % have at most {numbers[int(0.95 * len(numbers))]} lines")
    files = {inspect.getsourcefile(method.build) for method in METHODS.values()}
    sizes = [len(Path(str(name)).read_text(encoding="utf-8").splitlines()) for name in files]
    print(
        f"{len(METHODS)} methods in {len(sizes)} files, median {statistics.median(sizes):g} lines, "
        f"longest {max(sizes)}"
    )
    print("longest function: {} lines, {}".format(*max(lengths)))
    print("longest module: {} lines, {}".format(*max(modules)))


if __name__ == "__main__":
    main()
