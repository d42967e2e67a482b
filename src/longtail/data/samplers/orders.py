"""The orders themselves: which sample comes at each place of an epoch.

Every order takes (labels int64 [n], seed, epoch, progress in [0, 1)) and has exactly n places, so
that an epoch has as many steps under one sampler as under another. All arithmetic on what is drawn
is in integers: the same order on every device.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from longtail.data.samplers.shares import Shares
from longtail.keyed import fold, permutation
from longtail.prior import Floats


def instance(labels: Tensor, seed: int, epoch: int, progress: float) -> Tensor:
    """Every sample once, shuffled: classes come as often as they are."""
    return permutation(_key(labels, seed, "order", epoch), len(labels))


def independent(
    shares: Shares, name: str, labels: Tensor, seed: int, epoch: int, progress: float
) -> Tensor:
    """With replacement: at each place a class by its share, then one of its samples uniformly.

    Args:
        shares: of the classes.
        name: keys the draws, so that two samplers draw independently of each other.
        labels: int64 [n].
        seed: of the run.
        epoch: a new one draws anew.
        progress: of the run, in [0, 1).
    """
    members, key = _members(labels), _key(labels, seed, name, epoch)
    place = torch.arange(len(labels), device=labels.device)
    edges = _edges(shares(members.counts.cpu().numpy(), progress)).to(labels.device)
    classes = torch.searchsorted(edges, fold(key, "class", place), right=True)
    which = (fold(key, "sample", place) * members.counts[classes]) >> 32
    return members.positions[members.starts[classes] + which]


def class_aware(labels: Tensor, seed: int, epoch: int, progress: float, *, run: int = 4) -> Tensor:
    """Classes in turn, shuffled each time round; at its turn a class gives `run` samples.

    A class gives its samples from a list that is shuffled anew whenever it is used up (Shen et al.
    2016; runs of 4 are those of Kang et al. 2020). Kang et al. also shuffle within the batch, for
    the sake of batch norm on several devices; that is left to whoever divides a batch among
    devices, since on one device no order within a batch changes batch norm or any loss.
    """
    members, key = _members(labels), _key(labels, seed, "class-aware", epoch)
    size, present = len(labels), members.counts.nonzero().flatten()
    run = min(run, size)
    rounds = -(-size // (run * len(present)))
    turns = torch.arange(rounds * len(present), device=labels.device)
    shuffled = _shuffled_within(turns // len(present), fold(key, "class", turns))
    classes = present.repeat(rounds)[shuffled].repeat_interleave(run)[:size]
    order = torch.empty_like(classes)
    order[torch.argsort(classes, stable=True)] = _dealt(members, _bincount(classes, members), key)
    return order


def oversampling(labels: Tensor, seed: int, epoch: int, progress: float) -> Tensor:
    """Every class as often as the largest, give or take one; its samples equally often as well.

    Samples are repeated only when all of the class have come. Where the places do not divide among
    the classes, chance picks those that get one more.
    """
    members, key = _members(labels), _key(labels, seed, "oversampling", epoch)
    present = members.counts.nonzero().flatten()
    each, left = divmod(len(labels), len(present))
    draws = torch.zeros_like(members.counts)
    draws[present] = each + (permutation(fold(key, "one more"), len(present)) < left).long()
    order = permutation(fold(key, "order"), len(labels))
    return _dealt(members, draws, key)[order]


def undersampling(labels: Tensor, seed: int, epoch: int, progress: float) -> Tensor:
    """From every class as many samples as the smallest has: a subset an epoch, over and over.

    The subset is drawn anew every epoch, and is far smaller than one: an epoch passes over it until
    it is as long as under any other sampler, in another order each time.
    """
    members, key = _members(labels), _key(labels, seed, "undersampling", epoch)
    present = members.counts.nonzero().flatten()
    least = int(members.counts[present].min())
    places = members.starts[present, None] + torch.arange(least, device=labels.device)
    subset = _dealt(members, members.counts, key)[places].flatten()
    passes = -(-len(labels) // len(subset))
    number = torch.arange(passes * len(subset), device=labels.device)
    which = _shuffled_within(number // len(subset), fold(key, "order", number))
    return subset.repeat(passes)[which][: len(labels)]


class _Members(NamedTuple):
    """The samples of each class.

    Attributes:
        positions: int64 [n], class by class.
        starts: int64 [c], where each class begins in `positions`.
        counts: int64 [c], how many it has; the classes end with the largest label.
    """

    positions: Tensor
    starts: Tensor
    counts: Tensor


def _key(labels: Tensor, seed: int, name: str, epoch: int) -> Tensor:
    """The key of an epoch's draws, on the device of the labels."""
    return fold(seed, name, epoch).to(labels.device)


def _members(labels: Tensor) -> _Members:
    counts = torch.bincount(labels)
    return _Members(torch.argsort(labels, stable=True), counts.cumsum(0) - counts, counts)


def _bincount(classes: Tensor, members: _Members) -> Tensor:
    return torch.bincount(classes, minlength=len(members.counts))


def _edges(shares: Floats) -> Tensor:
    """Where each class ends in [0, 2**32], int64 [c]: the first end above a hash is its class."""
    return torch.from_numpy(np.rint(np.cumsum(shares) * 2.0**32).astype(np.int64))


def _shuffled_within(group: Tensor, hashes: Tensor) -> Tensor:
    """A permutation that keeps ascending groups [m] where they are and shuffles inside each."""
    # 31 bits of the hash leave room for the group; of equal ones the earlier comes first.
    return torch.argsort((group << 31) | (hashes >> 1), stable=True)


def _dealt(members: _Members, draws: Tensor, key: Tensor) -> Tensor:
    """`draws` [c] samples of each class, class by class: its list, shuffled anew when used up."""
    rounds = -(-draws // members.counts.clamp(min=1))
    sizes = rounds * members.counts
    label = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    place = torch.arange(len(label), device=sizes.device) - (sizes.cumsum(0) - sizes)[label]
    this_round, which = place // members.counts[label], place % members.counts[label]
    positions = members.positions[members.starts[label] + which]
    group = (rounds.cumsum(0) - rounds)[label] + this_round
    shuffled = _shuffled_within(group, fold(key, "list", this_round, positions))
    return positions[shuffled][place < draws[label]]
