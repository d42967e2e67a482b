"""A run that is killed outright, at moments nobody chose, resumes to the same end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("killed_runs.py")


def killed(folder: Path, num_runs: int, seed: int) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(HARNESS), str(folder), str(num_runs), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["different"], outcome["failed"]) == ([], []), done.stderr
    assert [line["step"] for line in outcome["steps"]] == [4, 8, 12]
    return outcome


@pytest.mark.cli
@pytest.mark.timeout(900)  # every run is a process: a busy machine starts them slowly
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_runs_killed_at_random_resume_to_the_same_weights_metrics_and_log(tmp_path):
    assert killed(tmp_path, num_runs=15, seed=0)["kills"] >= 10


@pytest.mark.slow
@pytest.mark.cli
@pytest.mark.timeout(900)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_many_more_killed_runs_resume_to_the_same_end(tmp_path):
    assert killed(tmp_path, num_runs=150, seed=1)["kills"] >= 100
