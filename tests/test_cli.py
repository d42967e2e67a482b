"""The command line, in process: what it prints, what it refuses, and with which exit code."""

import hashlib
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from longtail import cli
from longtail.cli import app, main

ROOT = Path(__file__).resolve().parent.parent
QUICK = ["--backbone", "mlp-w8", "--epochs", "2", "--batch-size", "8", "--threads", "1"]


@pytest.fixture
def longtail(monkeypatch, capsys):
    """Run a command line; returns (exit code, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longtail", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> Path:
    """Three separable classes of 8 numbers, 30, 15 and 6 in train."""
    path = tmp_path_factory.mktemp("data") / "vectors.npz"
    random = np.random.RandomState(0)
    train, test = np.repeat([0, 1, 2], [30, 15, 6]), np.repeat([0, 1, 2], 5)
    centres = random.randn(3, 8) * 3
    np.savez(
        path,
        train_inputs=(centres[train] + random.randn(len(train), 8)).astype(np.float32),
        train_labels=train,
        test_inputs=(centres[test] + random.randn(len(test), 8)).astype(np.float32),
        test_labels=test,
        class_names=np.array(["ant", "bee", "[red]x[/red]"]),
    )
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Class folders of 8x8 pictures, one colour a class."""
    folder = tmp_path_factory.mktemp("pictures") / "photos"
    random = np.random.RandomState(0)
    for split, numbers in (("train", (12, 6)), ("test", (3, 3))):
        for name, base, number in zip(("cat", "dog"), (40, 180), numbers, strict=True):
            (folder / split / name).mkdir(parents=True)
            for i in range(number):
                noise = random.randint(0, 40, (16, 16, 3)).astype(np.uint8) + base
                Image.fromarray(noise.astype(np.uint8)).save(folder / split / name / f"{i}.png")
    return folder


def digest(folder: Path) -> str:
    """One hash of every visible file below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def test_training_evaluating_and_resuming_a_table(longtail, vectors, tmp_path):
    out = tmp_path / "run"
    code, text, _ = longtail("train", vectors, "--method", "rcl", *QUICK, "--out", out)
    assert code == 0
    assert "balanced accuracy" in text
    assert f"Kept in {out}" in text

    code, text, _ = longtail("evaluate", out, "--per-class")
    assert code == 0
    assert "harmonic mean" in text
    assert "[red]x[/red]" in text
    assert text.count("[") == text.count("]")

    again = longtail("evaluate", out, vectors)[1].splitlines()[0]
    assert again.split(":")[1] == text.splitlines()[0].split(":")[1]

    code, text, _ = longtail("train", vectors, "--method", "rcl", *QUICK, "--out", out, "--resume")
    assert code == 0
    assert "Resuming" in text


def test_pictures_are_trained_on_and_predicted(longtail, pictures, tmp_path):
    out = tmp_path / "run"
    small = ["--backbone", "resnet8-w4", *QUICK[2:]]
    assert longtail("train", pictures, "--method", "bcl", *small, "--out", out)[0] == 0
    one = pictures / "test" / "cat" / "0.png"
    code, text, _ = longtail("predict", out, one, pictures / "test" / "dog", "--top-k", 2)
    assert code == 0
    lines = [line.split("\t") for line in text.splitlines()]
    assert len(lines) == 4
    assert lines[0][0] == str(one)
    assert {lines[0][1], lines[0][3]} == {"cat", "dog"}
    assert float(lines[0][2]) + float(lines[0][4]) == pytest.approx(1, abs=2e-4)
    assert longtail("predict", out, tmp_path / "missing.png")[0] == 3


def test_an_existing_run_is_refused_and_untouched(longtail, vectors, tmp_path):
    out = tmp_path / "run"
    assert longtail("train", vectors, "--method", "ce", *QUICK, "--out", out)[0] == 0
    before = digest(out)
    code, _, message = longtail("train", vectors, "--method", "ce", *QUICK, "--out", out)
    assert code == 2
    assert "--resume" in message
    code, _, message = longtail(
        "train", vectors, "--method", "ce", *QUICK, "--seed", 1, "--out", out, "--resume"
    )
    assert code == 4
    assert "seed: 0 then, 1 now" in message
    assert digest(out) == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--method", "rlc"], 2, "Did you mean 'rcl'"),
        (["--set", "taw=1"], 2, "no knob 'taw'"),
        (["--set", "la_tau"], 2, "KNOB=VALUE"),
        (["--set", "la_tau=high"], 2, "la_tau=high"),
        (["--set", "compression=anchors"], 3, "--holdout 0.1"),
        (["--backbone", "resnet32"], 2, "try mlp"),
        (["--backbone", "mpl"], 2, "mlp"),
        (["--device", "gpu9"], 2, "--device gpu9"),
        (["--holdout", "many"], 2, "discarded:20"),
        (["--epochs", "0"], 2, "epochs"),
        (["--batch-size", "1"], 2, "batch"),
        (["--recipe", "mine"], 2, "common"),
        (["--imbalance", "0.5"], 2, "--imbalance 100"),
        (["--nonsense"], 2, "nonsense"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(
    longtail, vectors, tmp_path, words, code, says
):
    out = tmp_path / "run"
    left, _, message = longtail("train", vectors, *QUICK, *words, "--out", out)
    assert (left, says in message) == (code, True), message
    assert "Traceback" not in message
    assert not out.exists()


def test_an_unknown_dataset_names_the_nearest(longtail):
    code, _, message = longtail("train", "cifar10lt")
    assert code == 2
    assert "cifar10-lt" in message


def test_labels_out_of_range_name_their_rows(longtail, tmp_path):
    path = tmp_path / "bad.npz"
    inputs = np.zeros((4, 3), np.float32)
    np.savez(path, inputs=inputs, labels=[0, 1, 7, 1], class_names=np.array(["a", "b"]))
    code, _, message = longtail("train", path, *QUICK, "--out", tmp_path / "run")
    assert code == 3
    assert "row 2: 7" in message


def test_a_folder_of_one_class_and_an_unreadable_picture_are_named(longtail, pictures, tmp_path):
    (tmp_path / "one" / "cat").mkdir(parents=True)
    picture = (pictures / "train" / "cat" / "0.png").read_bytes()
    (tmp_path / "one" / "cat" / "a.png").write_bytes(picture)
    code, _, message = longtail("train", tmp_path / "one", "--out", tmp_path / "run")
    assert code == 3
    assert "class" in message

    (tmp_path / "one" / "dog").mkdir()
    (tmp_path / "one" / "dog" / "broken.png").write_bytes(picture[:40])
    for verb in (["train"], ["data", "inspect"]):
        code, _, message = longtail(*verb, tmp_path / "one")
        assert code == 3
        assert "broken.png" in message


def test_a_folder_that_is_no_finished_run_is_said(longtail, tmp_path):
    code, _, message = longtail("evaluate", tmp_path)
    assert code == 4
    assert "record.json" in message


def test_evaluating_on_other_classes_is_refused(longtail, vectors, pictures, tmp_path):
    out = tmp_path / "run"
    assert longtail("train", vectors, "--method", "ce", *QUICK, "--out", out)[0] == 0
    code, _, message = longtail("evaluate", out, pictures)
    assert code == 3
    assert "classes" in message


def test_methods_are_listed_and_each_has_a_page(longtail):
    from longtail.methods import METHODS

    listed = longtail("methods")[1]
    for name, method in METHODS.items():
        assert name in listed
        page = longtail("methods", name)[1]
        assert "arXiv" in page or "CVPR" in page
        assert method.title in page
        assert all(f"{value:g}" in page for value in method.published.values())
        for heading in ("Needs:", "Stages:", "Knobs of every method", "Ours, balanced accuracy"):
            assert heading in page
    rcl = longtail("methods", "rcl")[1]
    assert "la_tau=1 " in rcl
    assert "strong views for the classifier, la_tau=1.3." in rcl
    assert "A hold-out, to choose norm_tau on" in longtail("methods", "tau-norm")[1]
    assert "2. 13 % of the epochs: logit; class-aware sampling" in longtail("methods", "crt")[1]
    assert "class-aware:4, oversampling" in longtail("methods", "ce")[1]
    assert "fcc_gamma=auto  (tune: 0:1)" in longtail("methods", "fcc")[1]
    assert "fcc_gamma=0\n" not in longtail("methods", "fcc")[1]
    assert longtail("methods", "rlc")[0] == 2


def test_data_are_inspected_and_cut(longtail, vectors, tmp_path):
    text = longtail("data", "inspect", vectors)[1]
    assert "Imbalance 5" in text
    target = tmp_path / "cut.npz"
    code, text, _ = longtail("data", "cut", "digits", "--imbalance", 20, "--out", target)
    assert code == 0
    assert re.search("data hash [0-9a-f]{64}", text)
    assert longtail("data", "cut", "digits", "--imbalance", 20, "--out", target)[0] == 2
    assert longtail("data", "cut", "digits", "--imbalance", 20, "--out", tmp_path / "f")[0] == 0
    assert len(list((tmp_path / "f" / "train").iterdir())) == 10


def test_the_options_of_train_are_these_and_no_others():
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    options = {name for p in command.params for name in p.opts if name.startswith("--")}
    assert options == {
        *("--method", "--set", "--recipe", "--backbone", "--epochs", "--batch-size", "--seed"),
        *("--imbalance", "--holdout", "--eval-every", "--image-size", "--device", "--threads"),
        *("--precision", "--compile", "--out", "--resume", "--no-report"),
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "1000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_threads_wait_asleep_unless_told_otherwise(monkeypatch, given, expected):
    """Set before the verb runs, which is what imports torch."""
    seen = {}
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    for name in names:
        monkeypatch.setenv(name, given.get(name, ""))  # so that it is as before at the end
        if name not in given:
            del os.environ[name]
    monkeypatch.setattr(cli, "dispatch", lambda words: seen.update(os.environ))
    cli.main()
    assert {name: seen[name] for name in names if name in seen} == expected


@pytest.mark.cli
def test_help_imports_nothing_heavy_and_the_module_runs():
    """One process: torch alone would take seconds to import."""
    code = (
        "import sys; from longtail.cli import main\n"
        "for words in (['--help'], ['train', '--help'], ['data', '--help']):\n"
        "    sys.argv = ['longtail', *words]\n"
        "    try: main()\n"
        "    except SystemExit as left: assert not left.code\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'sklearn', 'pydantic', 'matplotlib'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "classifiers that also work on rare classes" in done.stdout


@pytest.mark.cli
def test_python_m_longtail_prints_the_version():
    command = [sys.executable, "-m", "longtail", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"longtail \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.slow
def test_help_answers_within_a_second():
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "longtail", "--help"], capture_output=True, check=True
        )
        return time.perf_counter() - began

    assert statistics.median(seconds() for _ in range(5)) < 1


def commands_in(page: str) -> list[str]:
    """Command lines of the indented blocks of a Markdown page, without their comments."""
    lines = re.findall(r"^    (longtail .*)$", page, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("line", commands_in((ROOT / "README.md").read_text()))
def test_every_command_in_the_readme_parses(line):
    _, *words = shlex.split(line)
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    command.make_context("longtail", list(words))


def test_the_python_in_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
