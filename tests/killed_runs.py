"""Kill a training run at random moments, resume it, and compare what it leaves. Prints JSON.

`python tests/killed_runs.py FOLDER NUM_RUNS SEED`. Each run is a forked child, so torch is
imported once; the parent never trains, because torch's autograd does not survive a fork.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import torch

from longtail import launch
from longtail.errors import LongtailError
from longtail.record import read_lines
from tiny import KNOBS, tiny_dataset, without_times


def train(folder: Path) -> None:
    """One tiny run that saves after each step, or the rest of it."""
    launch.train(
        tiny_dataset(holdout=True),
        "bcl-rcl",
        knobs={**KNOBS, "compression": "both", "compression_threshold": 1.1},
        epochs=3,
        batch_size=5,
        backbone="resnet8-w4",
        precision="fp32",
        threads=1,
        eval_every=1,
        checkpoint_seconds=0,
        progress=False,
        out=folder,
        resume=True,
    )


def warm_up(folder: Path) -> None:
    """Everything a run loads late, loaded once here: a run whose gradients are never computed."""
    backward = torch.Tensor.backward
    torch.Tensor.backward = lambda self: None
    train(folder)
    torch.Tensor.backward = backward


def in_child(folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        train(folder)
        status = 0
    except LongtailError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def left_by(folder: Path) -> dict[str, object]:
    record = json.loads((folder / "record.json").read_text())
    model = (folder / "model.safetensors").read_bytes()
    return {
        "model": hashlib.sha256(model).hexdigest(),
        "metrics": record["metrics"],
        "selected": record["selected_epoch"],
        "log": without_times(read_lines(folder / "log.jsonl")),
    }


def main(root: Path, num_runs: int, seed: int) -> dict[str, object]:
    warm_up(root / "warm")
    began = time.monotonic()
    os.waitpid(in_child(root / "reference"), 0)
    seconds = time.monotonic() - began
    expected = left_by(root / "reference")
    draw, kills, different, failed = random.Random(seed), 0, [], []
    for number in range(num_runs):
        folder = root / str(number)
        for _ in range(draw.randint(1, 2)):
            child = in_child(folder)
            time.sleep(draw.uniform(0, 0.9 * seconds))
            os.kill(child, signal.SIGKILL)
            kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if os.waitpid(in_child(folder), 0)[1] != 0:
            failed.append(number)
        elif left_by(folder) != expected:
            different.append(number)
    return {"kills": kills, "different": different, "failed": failed, "steps": expected["log"]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    # fork() in a process with threads: none of them is training.
    warnings.simplefilter("ignore", DeprecationWarning)
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
