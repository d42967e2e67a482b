"""docs/results/performance.md from the JSON files in docs/results/performance.

    python benchmarks/performance_page.py

Each file there is one benchmark on one machine, written with --json. Nothing is measured here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from results import Case, Goal, Ratio, Report, cells, header, machine_line, read_report, rounded

PAGE = Path(__file__).parents[1] / "docs" / "results" / "performance.md"
# What matters most first; others follow by name.
ORDER = ("end-to-end", "step", "accuracy", "loss", "views", "startup")


def page(reports: Sequence[Report]) -> list[str]:
    """The whole page as lines of Markdown."""
    ordered = sorted(reports, key=place)
    return [
        "# Performance",
        "",
        "Written by `python benchmarks/performance_page.py` from the files in `performance/`, "
        "which hold every sample. Alternatives took turns in one run. A time is the median of its "
        "samples with the smallest and the largest; a ratio is of medians and, beside it, the "
        "median over turns with the smallest and the largest turn.",
        *goals_section(ordered),
        *(line for report in ordered for line in section(report)),
    ]


def place(report: Report) -> tuple[int, str, str]:
    """Key that sorts the reports of a page."""
    known = ORDER.index(report.benchmark) if report.benchmark in ORDER else len(ORDER)
    return known, report.benchmark, report.command


def goals_section(reports: Sequence[Report]) -> Iterator[str]:
    """Every goal beside what was reached, missed ones too."""
    rows = [
        goal_row(report, case, goal)
        for report in reports
        for case in report.cases
        for goal in case.goals
    ]
    if rows:
        yield from ("", "## Goals", "")
        yield from grid(
            ["benchmark", "case", "on", "goal", "wanted", "aim", "reached", ""], rows, text=4
        )


def goal_row(report: Report, case: Case, goal: Goal) -> list[str]:
    sign = "≤" if goal.at_most else "≥"
    aim = "" if goal.stretch is None else f"{sign} {goal.stretch:,g}"
    numbers = [f"{sign} {goal.wanted:,g}", aim, rounded(goal.reached)]
    where = report.machine["gpu"] or report.machine["instructions"]
    return [
        report.title,
        case.title,
        where,
        goal.what,
        *numbers,
        "met" if goal.met else "**missed**",
    ]


def section(report: Report) -> Iterator[str]:
    """One benchmark: machine, command, a table a case."""
    yield from ("", f"## {report.title}", "")
    yield from (f"    {report.command}", "", f"{machine_line(report.machine)}.")
    for case in report.cases:
        yield from case_section(case)
    for note in report.notes:
        yield from ("", note)


def case_section(case: Case) -> Iterator[str]:
    yield from ("", f"### {case.title}", "")
    if case.timings:
        yield from grid(header(case), [cells(timing, case) for timing in case.timings])
    if case.memory:
        yield from ("", f"Peak: {case.memory}.")
    if case.ratios:
        yield ""
        yield from grid(RATIO_HEADER, [ratio_row(found) for found in case.ratios], text=2)
    for place, note in enumerate(case.notes):
        yield from ("", note) if place or case.timings else (note,)


RATIO_HEADER = ["how much quicker", "than", "of medians", "over turns", "from", "to"]


def ratio_row(found: Ratio) -> list[str]:
    numbers = (found.medians, found.paired, found.low, found.high)
    return [found.fast, found.slow, *(f"{number:.2f}" for number in numbers)]


def grid(titles: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> Iterator[str]:
    """A Markdown table whose first `text` columns are words and the others numbers.

    >>> list(grid(["a", "b"], [["x", "1"]]))
    ['| a | b |', '|---|---:|', '| x | 1 |']
    """
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * text + "---:|" * (len(titles) - text)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def main() -> None:
    files = sorted(PAGE.with_suffix("").glob("*.json"))
    if not files:
        raise SystemExit(
            f"There is no JSON file in {PAGE.with_suffix('')}; run a benchmark with --json first."
        )
    text = "\n".join(page([read_report(file) for file in files])) + "\n"
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.name} written from {len(files)} files")


if __name__ == "__main__":
    main()
