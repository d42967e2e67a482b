"""Break the package on purpose, one small change at a time, and demand that its tests notice.

`make mutants`, or `python tests/mutants.py --only losses/`. A row of `MUTANTS` is a file below
src/longtail, a snippet that occurs there exactly once, what to put in its place, what that breaks
in words, and the tests that must fail (pytest arguments). A survivor is a missing test.
"""

import argparse
import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 2
FAILED = 1  # pytest's exit status for failing tests; a broken collection or import is another
NOT_THE_COPY = 99

# Runs in the child: an editable install must not be what is tested.
CHILD = f"""
import sys, pytest, longtail
from pathlib import Path
if not Path(longtail.__file__).is_relative_to(sys.argv[1]):
    sys.exit({NOT_THE_COPY})
sys.exit(pytest.main(sys.argv[2:]))
"""

LOSSES = "tests/test_losses_contract.py tests/test_losses_contrastive.py tests/test_losses_logit.py"
INPUT = "tests/test_losses_input.py"
PRIOR = "tests/test_prior.py"
KEYED = "tests/test_keyed.py -k 'not known_values'"  # pinned values alone would see any change
PINNED = "tests/test_keyed.py"


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One deliberate fault."""

    file: str
    original: str
    broken: str
    breaks: str
    tests: str


def mutants(file: str, tests: str, *rows: tuple[str, str, str]) -> list[Mutant]:
    """Rows of (original, broken, what it breaks) for one file and the tests that guard it."""
    return [Mutant(file, *row, tests) for row in rows]


MUTANTS: list[Mutant] = [
    *mutants(
        "losses/contrastive.py",
        LOSSES,
        ("anchors @ keys.T / temperature", "anchors @ keys.T", "temperature dropped from scores"),
        ("anchors @ keys.T /", "-anchors @ keys.T /", "sign of the similarity"),
        (".sum(1) / temperature /", ".sum(1) /", "temperature dropped from the attraction"),
        ("(scores, 1) - attraction", "(scores, 1) + attraction", "sign of the attraction"),
        ("[labels] - own_key", "[labels]", "an anchor attracted to itself"),
        ("keys_per_class[labels] - 1", "keys_per_class[labels]", "the anchor among its positives"),
        ("scores.masked_fill(itself,", "scores.masked_fill(itself & False,", "self kept as a key"),
        (
            "keys_per_class = membership.sum(1)",
            "keys_per_class = membership[:, : len(rows)].sum(1)",
            "prototypes not counted as keys",
        ),
        (
            "(membership @ keys)",
            "(membership[:, : len(rows)] @ keys[: len(rows)])",
            "prototypes not among the positives",
        ),
        (
            "_rows(prototypes, normalize).to(",
            "_rows(prototypes, normalize).detach().to(",
            "no gradient for the prototypes",
        ),
        ("_rows(prototypes, normalize)", "wide(prototypes)", "prototypes not normalised"),
        ("F.normalize(wide(x), dim=1)", "wide(x)", "normalisation dropped"),
        ("F.normalize(wide(x), dim=1)", "F.normalize(wide(x), dim=0)", "columns normalised"),
        ("scores + log_n[key_labels]", "scores", "log n missing on the keys"),
        ("scores + log_n[key_labels]", "scores - log_n[key_labels]", "sign of log n on the keys"),
        ("attraction + log_n[labels]", "attraction", "log n missing in the attraction"),
        ("scores - _log_class_size", "scores + _log_class_size", "sign of log m_ij"),
        ("scores - _log_class_size", "scores - 2 * _log_class_size", "keys averaged twice"),
        (
            " - same_class.to(keys_per_class.dtype)",
            "",
            "off by one in m_ij: the anchor counted in its own class",
        ),
        ("sizes.clamp(min=1)", "sizes.clamp(min=2)", "off by one in m_ij: one key counted as two"),
        ("positives.clamp(min=1)", "positives", "division by no positives reaches the gradient"),
        ("has_positive.sum().clamp(min=1)", "len(labels)", "mean over all anchors"),
        ("has_positive.sum().clamp(min=1)", "has_positive.sum()", "no anchor with a positive: 0/0"),
        ("has_positive = positives > 0", "has_positive = positives >= 0", "anchors without mates"),
        ("has_positive = positives > 0", "has_positive = positives > 1", "one positive too few"),
        (
            "enabled=False",
            "enabled=torch.is_autocast_enabled(features.device.type)",
            "autocast not disabled",
        ),
        ('scale_on in ("both", "anchors")', 'scale_on in ("both", "keys")', "anchors: wrong side"),
        ('scale_on in ("both", "keys")', 'scale_on in ("both", "anchors")', "keys: wrong side"),
        ('scale_on in ("both", "keys")', 'scale_on == "keys"', "both: keys not scaled"),
        (
            "rows * class_scale.to(rows.dtype)[labels, None]",
            "F.normalize(rows * class_scale.to(rows.dtype)[labels, None])",
            "normalised after scaling, which undoes it",
        ),
    ),
    *mutants(
        "losses/contrastive.py",
        INPUT,
        ("if not temperature > 0", "if temperature < 0", "temperature 0 accepted"),
        ("len(prototypes) != num_classes", "len(prototypes) < num_classes", "spare prototypes"),
        ("prototypes.shape[1:] != features.shape[1:]", "False", "width of prototypes unchecked"),
    ),
    *mutants(
        "losses/logit.py",
        LOSSES,
        ("scores + la_tau * log_counts", "scores - la_tau * log_counts", "sign of the prior"),
        ("scores + la_tau * log_counts", "scores + log_counts", "la_tau dropped"),
        ("scores - la_tau * (log_n", "scores + la_tau * (log_n", "sign of the post-hoc prior"),
        ("(log_n - torch.logsumexp(log_n, 0))", "log_n", "post-hoc: counts instead of prior"),
        (
            "labels, class_counts, la_tau=1.0)",
            "labels, class_counts, la_tau=1.3)",
            "strength of BS",
        ),
        (
            "F.cross_entropy(wide(logits), labels)",
            'F.cross_entropy(wide(logits), labels, reduction="sum")',
            "sum instead of mean",
        ),
    ),
    *mutants(
        "losses/checks.py",
        LOSSES,
        ("(torch.float16, torch.bfloat16)", "(torch.float16,)", "bfloat16 not widened"),
        ("(torch.float16, torch.bfloat16)", "(torch.bfloat16,)", "float16 not widened"),
        ("else x", "else x.float()", "float64 lowered"),
        ("clamp(min=1)", "clamp(min=0)", "log of no training picture"),
        (".log()", ".log1p()", "log of n + 1"),
    ),
    *mutants(
        "losses/checks.py",
        INPUT,
        ("if class_counts.is_floating_point()", "if False", "rates accepted as counts"),
        ("int(class_counts.min()) < 0", "False", "negative counts accepted"),
        ("high >= num_classes", "high > num_classes", "a label one beyond the classes accepted"),
        ("low < 0 or", "", "negative labels accepted"),
        ("labels.dtype != torch.int64", "False", "uint8 labels read as a mask"),
    ),
    *mutants(
        "losses/modules.py",
        LOSSES,
        ("la_tau=self.la_tau", "la_tau=1.3", "la_tau not passed on"),
        ("self.class_counts if self.rebalance else None", "self.class_counts", "BCL rebalanced"),
        ("rebalance=True,", "rebalance=False,", "RCL not rebalanced"),
        ("class_average=self.class_average", "class_average=False", "module does not average"),
        ("temperature=self.temperature", "temperature=0.1", "temperature not passed on"),
        ("scale_on=self.scale_on", 'scale_on="both"', "side of the scale not passed on"),
        ("normalize=self.normalize", "normalize=True", "normalize not passed on"),
        (
            '"class_counts", _counts(class_counts), persistent=False',
            '"class_counts", _counts(class_counts)',
            "counts saved with a model",
        ),
    ),
    *mutants(
        "prior.py",
        PRIOR,
        ("np.maximum(as_counts(counts), 1)", "as_counts(counts)", "log of no training picture"),
        (" - np.log(floored.sum())", "", "log counts instead of log prior"),
        ("count > MANY_ABOVE", "count >= MANY_ABOVE", "100 pictures are many"),
        ("count < FEW_BELOW", "count <= FEW_BELOW", "20 pictures are few"),
        ("present[present > 0]", "present[present >= 0]", "imbalance over an empty class"),
        ("or np.any(whole != np.floor(whole))", "", "rates accepted as counts"),
        ("or np.any(whole < 0)", "", "negative counts accepted"),
        ("if not np.any(whole > 0)", "if False", "no picture at all accepted"),
        (
            "members[group_of(int(count))].append(label)",
            "members[group_of(label)].append(label)",
            "groups by class id",
        ),
    ),
    *mutants(
        "keyed.py",
        KEYED,
        ("zlib.crc32(part.encode())", "len(part)", "purposes of one length share a key"),
        ("(folded.to(offset.device) * 3 +", "(folded.to(offset.device) * 2 +", "keys that collide"),
        ("for part in parts:", "for part in sorted(parts, key=str):", "order of parts is lost"),
        (
            "_mix((folded.to(offset.device) * 3 + _mix((offset + _GOLDEN) & _MASK)) & _MASK)",
            "(folded.to(offset.device) + offset) & _MASK",
            "parts added up instead of mixed",
        ),
        (
            "(_bits(key, draws) >> 8).to(torch.float32) * 2.0**-24",
            "_bits(key, draws).to(torch.float32) * 2.0**-32",
            "a uniform number of exactly 1",
        ),
        ("* high) >> 32", "* (high + 1)) >> 32", "integers one too high"),
        ("* high) >> 32", "* (high - 1)) >> 32", "the highest integer never drawn"),
        ("-2.0 * torch.log1p", "-1.0 * torch.log1p", "variance of the normal numbers"),
        ('fold(key, "angle")', 'fold(key, "radius")', "radius and angle from one number"),
        ("((fold(key, order) >> 1) << 32) | order", "fold(key * 0, order)", "one shuffle for all"),
        (
            "torch.arange(draws, device=key.device)",
            "0 * torch.arange(draws, device=key.device)",
            "all draws of a key alike",
        ),
        ("key.unsqueeze(-1), ", "key.unsqueeze(-1), key.numel(), ", "draws depend on the batch"),
        (
            "if isinstance(value, Tensor) else torch.tensor(value)) & _MASK",
            "if isinstance(value, Tensor) else torch.tensor(value))",
            "parts beyond 32 bits",
        ),
    ),
    *mutants(
        "keyed.py",
        PINNED,
        (
            "x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK",
            "x = x ^ (x >> 16)",
            "a round of mixing lost",
        ),
        ("0x846CA68B", "0x846CA68D", "a constant of the hash"),
        ("0x9E3779B9", "0x9E3779B1", "the constant that spreads integers"),
    ),
]


def source_of(mutant: Mutant) -> Path:
    """The file it changes, below src."""
    return Path("longtail") / mutant.file


def out_of_date(rows: Iterable[Mutant]) -> list[str]:
    """A sentence a row whose snippet does not occur exactly once any more."""
    sentences = []
    for row in rows:
        times = (ROOT / "src" / source_of(row)).read_text().count(row.original)
        if times != 1:
            sentences.append(f"{row.file}: {row.original!r} occurs {times} times ({row.breaks})")
    return sentences


def run_tests(tests: str, mutant: Mutant | None = None) -> subprocess.CompletedProcess[str]:
    """Pytest on a copy of the package, with one fault in it or none."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            file = copy / source_of(mutant)
            file.write_text(file.read_text().replace(mutant.original, mutant.broken))
        command = [sys.executable, "-c", CHILD, str(copy), "-x", "-q", "-n0", *shlex.split(tests)]
        environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def verdict(mutant: Mutant) -> tuple[bool, str]:
    """Whether the tests failed, and by which test."""
    done = run_tests(mutant.tests, mutant)
    if done.returncode == FAILED:
        by = re.search(r"^(?:FAILED|ERROR) \S*?(\w+\.py::\w+)", done.stdout, re.MULTILINE)
        return True, f"killed    {mutant.file}: {mutant.breaks} <- {by[1] if by else '?'}"
    outcome = "SURVIVED " if done.returncode == 0 else f"NO RESULT ({done.returncode})"
    return False, f"{outcome} {mutant.file}: {mutant.breaks}: {mutant.original!r}"


def main() -> int:
    """Exit status: 0 when every mutant was killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="FILE_SUBSTRING")
    only = parser.parse_args().only
    rows = [row for row in MUTANTS if only in row.file]
    if problems := out_of_date(rows):
        print("Rows to bring up to date in tests/mutants.py:", *problems, sep="\n  ")
        return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        suites = sorted({row.tests for row in rows})
        for tests, done in zip(suites, pool.map(run_tests, suites), strict=True):
            if done.returncode != 0:
                print(f"Without any fault, status {done.returncode}: {tests}\n{done.stdout}")
                print(done.stderr)
                return 1
        killed = 0
        for dead, line in pool.map(verdict, rows):
            killed += dead
            print(line, flush=True)
    print(f"{len(rows)} mutants, {killed} killed")
    return 0 if rows and killed == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
