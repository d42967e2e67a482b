"""Names that come from folders and files reach the terminal as text, never as commands to it."""

import numpy as np
import pytest
from PIL import Image

from longtail.cli import dispatch, main

NAMES = ("a\x1b[31mz", "[red]x[/red]", "c\u202ed")
QUICK = ["--method", "ce", "--epochs", "1", "--batch-size", "8", "--threads", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures in class folders whose names hold an escape sequence, markup and a bidi override."""
    path = tmp_path_factory.mktemp("data") / "ph\x1b[2Jotos"
    random = np.random.RandomState(0)
    for name in ("a\x1b[31mz", "[red]x[", "c\u202ed"):
        (path / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.randint(0, 255, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "table.npz"
    inputs = np.random.RandomState(0).randn(30, 4).astype(np.float32)
    labels = np.repeat([0, 1, 2], 10)
    np.savez(path, inputs=inputs, labels=labels, class_names=np.array(NAMES))
    return path


@pytest.fixture
def printed(monkeypatch, capsys):
    """Run a command line; returns its exit code and all it printed, on both streams."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["longtail", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), "".join(capsys.readouterr())

    return run


def assert_harmless(text: str) -> None:
    assert [letter for letter in text if not (letter.isprintable() or letter in "\n\t")] == []


def test_class_names_of_a_table_are_shown_as_they_are_but_for_control_characters(
    printed, table, tmp_path
):
    run = tmp_path / "run"
    code, text = printed("train", table, "--backbone", "mlp-w4", *QUICK, "--out", run)
    assert code == 0
    assert_harmless(text)
    code, text = printed("evaluate", run, "--per-class")
    assert code == 0
    assert_harmless(text)
    for shown in ("a?[31mz ", "[red]x[/red] ", "c?d "):
        assert shown in text


def test_names_of_folders_and_files_cannot_command_the_terminal(printed, folder, tmp_path):
    run = tmp_path / "run"
    small = ["--backbone", "resnet8-w4", "--image-size", "8", *QUICK]
    assert printed("train", folder, *small, "--out", run)[0] == 0
    for words in (
        ["evaluate", run, "--per-class"],
        ["predict", run, folder / "a\x1b[31mz", "--top-k", 3],
        ["data", "inspect", folder],
        ["data", "cut", folder, "--imbalance", 2, "--out", tmp_path / "cut.npz"],
    ):
        code, text = printed(*words)
        assert code == 0, text
        assert_harmless(text)


def test_messages_cannot_command_the_terminal_either(printed, folder, table, tmp_path):
    run = tmp_path / "run"
    assert printed("train", table, "--backbone", "mlp-w4", *QUICK, "--out", run)[0] == 0
    code, text = printed("evaluate", run, folder)
    assert code == 3
    assert "a?[31mz" in text
    assert_harmless(text)
    for words in (["evaluate", "no\x1b[2J"], ["methods", "r\x1bcl"], ["predict", run, "\x1bc.png"]):
        code, text = printed(*words)
        assert code in (2, 3, 4)
        assert_harmless(text)


def test_a_damaged_record_or_model_is_named_and_nothing_is_touched(printed, table, tmp_path):
    run = tmp_path / "run"
    assert printed("train", table, "--backbone", "mlp-w4", *QUICK, "--out", run)[0] == 0
    for name, words in (
        ("record.json", ["evaluate", run]),
        ("predictions-test.npz", ["evaluate", run]),
        ("model.safetensors", ["evaluate", run, table]),
    ):
        intact = (run / name).read_bytes()
        for damaged in (b"", intact[: len(intact) // 2], b"\xff" + intact):
            (run / name).write_bytes(damaged)
            code, text = printed(*words)
            assert code == 4
            assert name in text
            assert (run / name).read_bytes() == damaged
        (run / name).write_bytes(intact)
        assert printed(*words)[0] == 0


@pytest.mark.parametrize("seed", ["99999999999999999999", "4294967296", "-1"])
def test_a_seed_that_the_keyed_draws_cannot_tell_from_another_is_refused(
    printed, table, tmp_path, seed
):
    code, text = printed("train", table, *QUICK, "--seed", seed, "--out", tmp_path / "run")
    assert code == 2
    assert "--seed" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("target", ["file/run", "file/cut", "file/cut.npz"])
def test_a_target_below_a_file_is_refused_without_a_traceback(printed, folder, tmp_path, target):
    (tmp_path / "file").write_text("kept")
    verb = ["train", folder, *QUICK] if target.endswith("run") else ["data", "cut", folder]
    cut = [] if target.endswith("run") else ["--imbalance", 2]
    code, text = printed(*verb, *cut, "--out", tmp_path / target)
    assert code in (3, 4)
    assert str(tmp_path / "file") in text
    assert (tmp_path / "file").read_text() == "kept"


def test_a_bug_keeps_its_traceback(monkeypatch):
    """Only errors a person can mend are shortened."""

    def broken(words: list[str]) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("longtail.cli.dispatch", broken)
    assert dispatch is not broken
    with pytest.raises(RuntimeError, match="a bug"):
        main()
