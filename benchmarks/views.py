"""Pictures a CPU second on one thread: our batched views beside a Pillow/torchvision loop.

    python benchmarks/views.py [--repeats 15]

Each number is the median over repeats of the same batch of 32x32 photographs; the quickest repeat
stands beside it. CPU seconds of this process, so that whoever else uses the machine counts less.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from PIL import Image, __version__
from torch import Tensor
from torchvision import transforms

from longtail import keyed
from longtail.data.views import view_for
from longtail.data.views.sheet import photographs

ROLES = ("weak", "strong", "contrastive")


def processor() -> str:
    """The processor's name as the system gives it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def pillow_view(role: str) -> Callable[[Image.Image], Image.Image | Tensor]:
    """The same view as torchvision composes it, one picture at a time."""
    weak = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    if role == "weak":
        return transforms.Compose([*weak, transforms.PILToTensor()])
    if role == "strong":
        policy = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
        return transforms.Compose([*weak, policy, transforms.PILToTensor(), holed])
    jitter = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
    crop = transforms.RandomResizedCrop(32, (0.08, 1.0))
    flip, grey = transforms.RandomHorizontalFlip(), transforms.RandomGrayscale(0.2)
    return transforms.Compose([crop, flip, jitter, grey, transforms.PILToTensor()])


def holed(picture: Tensor) -> Tensor:
    row, column = torch.randint(0, 32, (2,)).tolist()
    picture[:, max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 0
    return picture


def rates(run: Callable[[], object], pictures: int, repeats: int) -> tuple[float, float]:
    """Median and best pictures a second."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return pictures / statistics.median(seconds), pictures / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    # As any training process has by its first step, free one large buffer: until then glibc gives
    # the memory of every freed tensor back, and page faults dominate.
    torch.zeros(24 << 20, dtype=torch.uint8)
    print(
        f"{processor()}, 1 thread; Python {platform.python_version()}, torch {torch.__version__},"
    )
    print(f"torchvision {torchvision.__version__}, Pillow {__version__}; 32x32, {repeats} repeats")
    print(f"{'view':12} {'how':18} {'median/s':>10} {'best/s':>10}")
    for role in ROLES:
        for batch in (256, 512, 1024):
            images = photographs().repeat(batch // 4, 1, 1, 1)
            key = keyed.fold(0, torch.arange(batch))
            view = view_for("photo", role)
            median, best = rates(lambda v=view, x=images, k=key: v(x, k), batch, repeats)
            print(f"{role:12} {f'batch of {batch}':18} {median:10,.0f} {best:10,.0f}")
        loop, singles = pillow_view(role), [transforms.functional.to_pil_image(x) for x in images]
        median, best = rates(
            lambda f=loop, s=singles: [f(x) for x in s], batch, max(3, repeats // 3)
        )
        print(f"{role:12} {'torchvision loop':18} {median:10,.0f} {best:10,.0f}")


if __name__ == "__main__":
    main()
