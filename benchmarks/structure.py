"""How long the functions and modules of the package are.

    python benchmarks/structure.py

Lines of code of a function, without its docstring and without what is nested in it as a class.
"""

import ast
import statistics
from pathlib import Path

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
    print("longest function: {} lines, {}".format(*max(lengths)))
    print("longest module: {} lines, {}".format(*max(modules)))


if __name__ == "__main__":
    main()
