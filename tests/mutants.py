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
LOGIT = "tests/test_losses_logit.py tests/test_losses_contract.py"
METRIC = "tests/test_losses_metric.py tests/test_losses_contract.py"
EXPERTS = "tests/test_losses_experts.py tests/test_losses_contract.py"
STREAMING = (
    "tests/test_losses_streaming.py tests/test_losses_contract.py -k 'streaming or streamed'"
)
FUSED = "tests/test_losses_fused.py tests/test_losses_fused_build.py -m 'not slow'"
INPUT = "tests/test_losses_input.py"
PRIOR = "tests/test_prior.py"
KEYED = "tests/test_keyed.py -k 'not known_values'"  # pinned values alone would see any change
PINNED = "tests/test_keyed.py"
SAMPLERS = "tests/test_samplers.py -k 'not earlier_versions'"  # see KEYED
BATCHES = "tests/test_batches.py"
NN, OPTIM = "tests/test_nn.py -k 'not timm'", "tests/test_optim.py"
CHECKPOINT = "tests/test_checkpoint.py"
RESUME, TRAINING = "tests/test_training_resume.py", "tests/test_training.py -m 'not slow'"
GRAPH = "tests/test_graph.py"
STAGES, TRAINED = "tests/test_stages.py", "tests/test_methods_trained.py"
FINISHED, RECIPES = "tests/test_methods_finished.py", "tests/test_methods_recipes.py"
EXPERT_MODEL, META, GOLDEN = (
    f"tests/{name}.py" for name in ("test_experts", "test_meta", "test_golden_methods")
)


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
        ("value - (contrast.share", "value + (contrast.share", "sign of log n in the attraction"),
        ('scale_anchors=scale_on != "keys"', "scale_anchors=True", "keys: anchors scaled too"),
        ('scale_keys=scale_on != "anchors"', "scale_keys=True", "anchors: keys scaled too"),
        (
            "enabled=False",
            "enabled=torch.is_autocast_enabled(features.device.type)",
            "autocast not disabled",
        ),
    ),
    *mutants(
        "losses/instances.py",
        LOSSES,
        ("(sizes[labels] - 1)", "sizes[labels]", "the anchor among its positives"),
        ("key_weight + log_counts(class_counts", "key_weight - log_counts(class_counts", "-log n"),
        ("key_weight - log_size, (", "key_weight + log_size, (", "sign of log m_ij"),
        ("log_counts(sizes - 1, exact)", "log_counts(sizes, exact)", "m_ij counts the anchor"),
        ("(positives > 0)", "(positives > 1)", "one positive too few"),
        (
            "has_positive / has_positive.sum().clamp(min=1)",
            "has_positive / len(labels)",
            "mean of all",
        ),
        ("has_positive.sum().clamp(min=1)", "has_positive.sum()", "no anchor with a positive: 0/0"),
        ("int(prototypes)", "0", "prototypes not counted as keys"),
        ("F.normalize(rows, dim=1, eps=EPSILON)", "rows", "plain: normalisation dropped"),
        ("F.normalize(rows, dim=1,", "F.normalize(rows, dim=0,", "plain: columns normalised"),
    ),
    *mutants(
        "losses/plain.py",
        LOSSES,
        ("anchors @ keys.T / c.temperature", "anchors @ keys.T", "temperature dropped from scores"),
        ("anchors @ keys.T /", "-anchors @ keys.T /", "sign of the similarity"),
        (".sum(1) / c.temperature /", ".sum(1) /", "temperature dropped from the attraction"),
        ("(scores, 1) - attraction", "(scores, 1) + attraction", "sign of the attraction"),
        ("[c.labels] - keys[: len(anchors)]", "[c.labels]", "an anchor attracted to itself"),
        ("scores.masked_fill(itself,", "scores.masked_fill(itself & False,", "self kept as a key"),
        ("c.positives.clamp(min=1)", "c.positives", "division by no positives"),
        ("torch.where(same_class, scores + c", "torch.where(~same_class, scores + c", "own weight"),
    ),
    *mutants(
        "losses/streaming/sides.py",
        STREAMING,
        ("cold = c.temperature**-0.5\n    size", "cold = 1.0\n    size", "temperature dropped"),
        ("if c.key_scale is not c.anchor_scale", "if False", "keys scaled as anchors are"),
        (
            "along = torch.where(length > EPSILON, along, 0.0)",
            "along = 0 * along",
            "lengthened rows",
        ),
    ),
    *mutants(
        "losses/streaming/attraction.py",
        STREAMING,
        ("together - weight @", "together - 0 * weight @", "an anchor attracted to itself"),
        (
            "away(anchor_sum, sides.anchors, 1.0)",
            "away(anchor_sum, sides.keys, 1.0)",
            "sides mixed",
        ),
        ("addcmul_(itself, times", "addcmul_(itself, 0 * times", "and pulled there"),
        ("-times * class_weight", "times * class_weight", "mates repelled"),
        ("sides.keys, 2.0)", "sides.keys, 1.0)", "pulled as an anchor, not as a key"),
    ),
    *mutants(
        "losses/streaming/features.py",
        STREAMING,
        ("return 1 / c.temperature <= LARGEST_PRODUCT", "return True", "exponentials overflow"),
        ("longest.square() <= LARGEST_PRODUCT", "True", "those of scaled rows too"),
        (" and c.anchor_scale is None:", ":", "scaled rows taken for short ones"),
        ("(c.key_weight - self.heaviest).exp_()", "c.key_weight.exp()", "heavy keys counted twice"),
        ("kept_scores if differentiable else 0", "kept_scores", "kept for nothing"),
        ("self.heaviest - normaliser).exp_()", "- normaliser).exp_()", "huge counts in gradients"),
        ("return 1 / c.temperature <= LARGEST_PRODUCT", "return False", "the slow way for all"),
        ("exponentials.fill_diagonal_(0)", "exponentials", "mutual: self kept as a key"),
        ("scores.fill_diagonal_(-torch.inf)", "scores", "directed: self kept as a key"),
        (".addr_(here[1], anchors[second])", "", "one direction forgotten in the gradient"),
        (
            "            if first != second:\n                total",
            "            if False:\n                total",
            "half",
        ),
        ("for keys in every)", "for keys in every[:1])", "the first block of keys alone"),
        (
            "(self.c.share.log() + self.heaviest - normaliser).exp_()",
            "self.c.share * (self.heaviest - normaliser).exp_()",
            "0 * inf",
        ),
        (
            "c.own_weight[anchors, None])",
            "c.own_weight[anchors, None], value=0)",
            "own weight lost",
        ),
    ),
    *mutants(
        "losses/streaming/prototypes.py",
        STREAMING,
        (
            "(top - normaliser).exp_()",
            "(top - softmax.log_sum).exp_()",
            "features forgotten in the shares of prototypes",
        ),
        ("zip(softmax.tops, blocks(", "zip([softmax.tops[-1]] * len(softmax.tops), blocks(", "top"),
        ("torch.maximum(top, scores.amax(0))", "scores.amax(0)", "an earlier block's top lowered"),
        ("for top, block in reversed(every)", "for top, block in every", "scores written over"),
        ("reversed(list(blocks(block.stop", "iter(list(blocks(block.stop", "and within a block"),
        ("block.stop * anchors <= block.start *", "anchors <= block.stop *", "no copy"),
        ("beta=0 if shared else 1", "beta=1", "scores added to the gradient"),
        ("wanted.zero_()", "pass", "memory not cleared"),
        (
            "len(normaliser) <= wanted.shape",
            "len(normaliser) <= 2 * wanted.shape",
            "scores past the memory",
        ),
        (
            "add(pull, -anchors.positive_weight)",
            "add(pull, anchors.positive_weight)",
            "pushed away",
        ),
        (
            "attraction += anchors.positive_weight @",
            "attraction += 0 * anchors.positive_weight @",
            "prototypes no positives",
        ),
        ("if wanted is not None and c.normalize", "if False", "lengthened prototypes"),
        ("values.where(self.met, 0)", "values", "own weight at another's place"),
    ),
    *mutants(
        "losses/streaming/blocks.py",
        STREAMING,
        ("self._room -= block.numel()", "pass", "room without end"),
        ("self._held.pop((", "self._held.get((", "what is written over is held on"),
    ),
    *mutants(
        "losses/streaming/kernel.py",
        STREAMING,
        ("without_rows(c), learning", "c, learning", "rows held after the backward pass"),
        ("for x in rows) and torch", "for x in rows) or torch", "a gradient that nobody wants"),
        (
            "c.share @ normaliser - attracted",
            "c.share @ normaliser + attracted",
            "attraction's sign",
        ),
        ("upstream != 1:", "False:", "a factor forgotten"),
        ("ctx.gradients = None", "pass", "a second backward multiplies the first's"),
        (
            "if torch.is_grad_enabled():\n            return",
            "if False:\n            return",
            "no curvature",
        ),
    ),
    *mutants(
        "losses/contrastive.py",
        INPUT,
        ("len(prototypes) != num_classes", "len(prototypes) < num_classes", "spare prototypes"),
    ),
    *mutants(
        "losses/logit.py",
        LOGIT,
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
            "F.cross_entropy(scores, labels)",
            'F.cross_entropy(scores, labels, reduction="sum")',
            "sum instead of mean",
        ),
        ("/ weights.sum()", "/ len(labels)", "a weighted sum over the batch's size"),
        (".clamp(min=torch.finfo(scores.dtype).tiny)", "", "0/0 without any weight"),
        ("labels, self.class_weights)", "labels)", "weights not passed on"),
        ("la_tau=self.la_tau", "la_tau=1.3", "la_tau not passed on"),
        (
            '"class_counts", counts_tensor(class_counts), persistent=False',
            '"class_counts", counts_tensor(class_counts)',
            "counts saved with a model",
        ),
    ),
    *mutants(
        "losses/checks.py",
        LOSSES,
        ("(torch.float16, torch.bfloat16)", "(torch.float16,)", "bfloat16 not widened"),
        ("(torch.float16, torch.bfloat16)", "(torch.bfloat16,)", "float16 not widened"),
        ("else x", "else x.float()", "float64 lowered"),
    ),
    *mutants(
        "losses/checks.py",
        INPUT,
        ("if class_counts.is_floating_point()", "if False", "rates accepted as counts"),
        ("int(class_counts.min()) < 0", "False", "negative counts accepted"),
        ("high >= num_classes", "high > num_classes", "a label one beyond the classes accepted"),
        ("low < 0 or", "", "negative labels accepted"),
        ("labels.dtype != torch.int64", "False", "uint8 labels read as a mask"),
        ("if not temperature > 0", "if temperature < 0", "temperature 0 accepted"),
        ("centres.shape[1] != features.shape[1]", "False", "width of prototypes unchecked"),
        ("expert_logits.ndim != 3", "expert_logits.ndim < 3", "an axis more than experts have"),
    ),
    *mutants(
        "losses/contrastive.py",
        LOSSES,
        ("self.class_counts if self.rebalance else None", "self.class_counts", "BCL rebalanced"),
        ("rebalance=True,", "rebalance=False,", "RCL not rebalanced"),
        ("class_average=self.class_average", "class_average=False", "module does not average"),
        ("temperature=self.temperature", "temperature=0.1", "temperature not passed on"),
        ("scale_on=self.scale_on", 'scale_on="both"', "side of the scale not passed on"),
        ("normalize=self.normalize", "normalize=True", "normalize not passed on"),
    ),
    *mutants(
        "losses/counts.py",
        LOGIT,
        ("clamp(min=1)", "clamp(min=0)", "log of no training picture"),
        (".log()", ".log1p()", "log of n + 1"),
        ("weights / weights.mean()", "weights", "weights that are not normalised"),
        ("-1 / torch.expm1(", "-1 * torch.expm1(", "frequent classes weighed more"),
        (
            "torch.expm1(at_least_one(class_counts, dtype) * log_beta(beta))",
            "(torch.tensor(beta, dtype=dtype) ** at_least_one(class_counts, dtype) - 1)",
            "digits lost to 1 - beta**n",
        ),
    ),
    *mutants(
        "losses/ldam.py",
        LOGIT,
        ("(counts.min() / counts)", "(counts / counts.max())", "frequent classes with a margin"),
        ("** 0.25", "** 0.5", "square instead of fourth root"),
        ("scores - scale * margins * own", "scores + scale * margins * own", "a margin in favour"),
        ("scores - scale * margins * own", "scores - scale * margins", "a margin on every logit"),
        ("scores - scale * margins * own", "scores - margins * own", "a margin without the scale"),
        ("max_margin=self.max_margin", "max_margin=0.5", "max_margin not passed on"),
        ("scale=self.scale", "scale=30.0", "scale not passed on"),
        ("if self.beta is None:", "if True:", "never re-weighted"),
    ),
    *mutants(
        "losses/focal.py",
        LOGIT,
        ("torch.where(own, scores, -scores)", "torch.where(own, -scores, scores)", "wrong answers"),
        ("F.logsigmoid(-right)).exp()", "F.logsigmoid(right)).exp()", "easy ones first"),
        ("(gamma * F", "(F", "gamma dropped"),
        ("(weights[labels] * values.sum(1)).mean()", "values.sum(1).mean()", "weights dropped"),
        ("values.sum(1)).mean()", "values.mean(1)).mean()", "mean over the classes"),
        ("beta=self.beta", "beta=0.9999", "beta not passed on"),
        ("gamma=self.gamma", "gamma=1.0", "gamma not passed on"),
    ),
    *mutants(
        "losses/embedding.py",
        METRIC,
        ("(log_n - log_n[:, None]) -", "(log_n[:, None] - log_n) -", "margins the other way"),
        ("- log_n[:, None]) - distances", "- log_n[:, None]) + distances", "rivals attracted"),
        ("keepdim=True) + distances", "keepdim=True) - distances", "mates repelled"),
        ("margin_tau * (", "(", "margin_tau dropped"),
        ("masked_fill(mates, ", "masked_fill(mates & False, ", "mates among the rivals"),
        ("-F.logsigmoid(-gaps)", "gaps", "the 1 in the logarithm"),
        ("euclidean(rows, rows) ** 2", "euclidean(rows, rows)", "distance not squared"),
        ("mates & ~torch.eye(", "mates | torch.eye(", "an anchor its own mate"),
        ("(positives > 0).sum()", "len(mates)", "mean over all, mates or not"),
        ("(positives * anchors)", "anchors", "sum over the mates"),
        (".clamp(min=1)", "", "0/0 without a mate"),
        ("margin_tau=self.margin_tau", "margin_tau=1.0", "margin_tau not passed on"),
        ("distance=self.distance", 'distance="euclidean"', "distance not passed on"),
        ("enabled=False", "enabled=torch.is_autocast_enabled(features.device.type)", "autocast"),
    ),
    *mutants(
        "losses/distances.py",
        METRIC,
        (
            ', compute_mode="donot_use_mm_for_euclid_dist"',
            ', compute_mode="use_mm_for_euclid_dist"',
            "cancels",
        ),
    ),
    *mutants(
        "losses/prototype.py",
        METRIC,
        ("scores.scatter(1, own, -torch.inf)", "scores", "the own class in the denominator"),
        ("centres.T / temperature", "centres.T", "temperature dropped"),
        (
            "wide(prototypes).to(rows.dtype), normalize=True",
            "wide(prototypes).to(rows.dtype), normalize=False",
            "as long as they come",
        ),
        ("unit_rows(rows, normalize=True)", "rows", "features not normalised"),
        ("- scores.gather", "+ scores.gather", "prototypes repel"),
        ("len(prototypes) < 2", "len(prototypes) < 1", "a class without a rival"),
        ("temperature=self.temperature", "temperature=0.1", "temperature not passed on"),
        ("enabled=False", "enabled=torch.is_autocast_enabled(features.device.type)", "autocast"),
    ),
    *mutants(
        "losses/centroid.py",
        METRIC,
        ("distances + radii", "distances - radii", "radii that forgive"),
        ("[:, None] * own", "[:, None]", "radii on every feature"),
        ("/ temperature, 1)", "/ temperature, 0)", "softmax over the classes"),
        ("-reach / temperature", "-reach", "temperature dropped"),
        ("(sizes > 0).sum()", "len(sizes)", "absent classes in the mean"),
        ("(sizes.clamp(min=1)[:, None] * ", "(", "sum over a class's features"),
        ("sizes.clamp(min=1)", "sizes", "0/0 for an absent class"),
        ("temperature=self.temperature", "temperature=1.0", "temperature not passed on"),
    ),
    *mutants(
        "losses/ensemble.py",
        EXPERTS,
        ("torch.stack(values).sum()", "torch.stack(values).mean()", "mean over the experts"),
        ("scores / degrees", "scores * degrees", "temperatures multiply"),
        ("degrees.mean() ** 2", "degrees.mean()", "T instead of its square"),
        ("(mean - each)", "(each - mean)", "sign of the divergence"),
        ("/ len(labels)", "", "sum over the batch"),
        ("counts.mean() + 1 - factor", "counts.mean()", "temperatures from 0 on"),
        ("counts / counts.mean()", "counts", "counts instead of shares"),
        ("degrees / degrees.max()", "degrees", "temperatures above 1"),
        ("if self.factor is None:", "if True:", "temperatures never used"),
    ),
    *mutants(
        "losses/distillation.py",
        EXPERTS,
        ("scores.mean(1) if", "scores[:, 0] if", "the first expert for all"),
        ("mean / temperature, 1", "mean, 1", "a student that is not softened"),
        ("to(scores.dtype) / temperature", "to(scores.dtype)", "a teacher that is not softened"),
        ("temperature**2 * ", "", "T squared dropped"),
        ('"batchmean"', '"mean"', "mean over the classes"),
        ("temperature=self.temperature", "temperature=1.5", "temperature not passed on"),
    ),
    *mutants(
        "losses/complementary.py",
        EXPERTS,
        ("(values * asked)", "values", "experts asked for foreign classes"),
        (".clamp(min=1)", "", "0/0 for an expert without a sample"),
        ("asked.sum(0).clamp(min=1)", "len(labels)", "mean over all samples"),
        ("* ~owned", "* owned", "its own logits at 0"),
        ("scores.square()", "scores.abs()", "size instead of square"),
        (".sum(2).mean(0)", ".sum(2).sum(0)", "sum over the batch"),
    ),
    *mutants(
        "losses/routing.py",
        EXPERTS,
        ("~right[:, :-1] & right_later", "~right[:, :-1]", "asking where nobody knows"),
        ("~right[:, :-1] & right_later", "right_later", "asking when already right"),
        ("right[:, 1:].flip(1)", "right[:, 1:]", "earlier prefixes for later ones"),
        ("expert_logits).cumsum(1)", "expert_logits)", "single experts for prefixes"),
        (", pos_weight=weight", "", "rare positives not weighed"),
        ("positive_weight=self.positive_weight", "positive_weight=100.0", "not passed on"),
    ),
    *mutants(
        "prior.py",
        PRIOR,
        ("np.maximum(as_counts(counts), 1)", "as_counts(counts)", "log of no training picture"),
        ("weights / weights.mean()", "weights", "weights that are not normalised"),
        ("log_beta(beta))\n", "(1 - log_beta(beta)))\n", "another beta"),
        ("if not 0 <= beta < 1", "if not 0 <= beta <= 1", "beta of 1: 0/0"),
        ("if beta > 0 else", "if True else", "log of a beta of 0"),
        ("(floored.min() / floored) ** 0.25", "floored**-0.25", "margins that are not scaled"),
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
        ("_mix((folded * 3 +", "_mix((folded * 2 +", "keys that collide"),
        ("for part in parts:", "for part in sorted(parts, key=str):", "order of parts is lost"),
        (
            "_mix((folded * 3 + _mix((number + _GOLDEN) & _MASK)) & _MASK)",
            "(folded + number) & _MASK",
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
        ("_mix(key & _MASK)", "_mix(key)", "keys beyond 32 bits"),
        ("_mix((number + _GOLDEN) & _MASK)", "_mix(number + _GOLDEN)", "parts beyond 32 bits"),
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
    *mutants(
        "metrics/confusion.py",
        "tests/test_metrics.py tests/test_metrics_ranking.py",
        ("true * num_classes + predicted", "predicted * num_classes + true", "rows and columns"),
        (
            "np.diagonal(confusion), confusion.sum(axis=1)",
            "np.diagonal(confusion), confusion.sum(axis=0)",
            "recall as precision",
        ),
        (
            "np.diagonal(confusion), confusion.sum(axis=0)",
            "np.diagonal(confusion), confusion.sum(axis=1)",
            "precision as recall",
        ),
        (
            "np.where(totals > 0, hits / np.maximum(totals, 1), np.nan)",
            "hits / np.maximum(totals, 1)",
            "an absent class at 0",
        ),
        (
            "np.trace(confusion) / confusion.sum()",
            "np.trace(confusion) / len(confusion)",
            "accuracy",
        ),
        ("_present_accuracy(confusion).mean()", "np.median(_present_accuracy(confusion))", "mean"),
        ("if np.any(present == 0):", "if np.all(present == 0):", "harmonic mean with a zero class"),
        ("float(len(present) /", "float(len(confusion) /", "absent classes in the harmonic mean"),
        ("per_class_accuracy(confusion) == 0", "per_class_accuracy(confusion) < 1", "zero classes"),
        ("confusion.sum(axis=1) == 0", "confusion.sum(axis=0) == 0", "absent classes"),
        ("if present.size else None", "if present.size else 0.0", "an empty group at 0"),
    ),
    *mutants(
        "metrics/intervals.py",
        "tests/test_metrics.py tests/test_metrics_paired.py",
        (
            "z2 = NormalDist().inv_cdf((1 + confidence) / 2)",
            "z2 = NormalDist().inv_cdf(confidence)",
            "a one-sided interval",
        ),
        (
            "z = NormalDist().inv_cdf((1 + confidence) / 2)",
            "z = NormalDist().inv_cdf(confidence)",
            "of a difference too",
        ),
        ("centre = k + z2 / 2", "centre = k + z2", "the centre of the interval"),
        ("+ z2 / 4))", "+ z2))", "the width of the interval"),
    ),
    *mutants(
        "metrics/power.py",
        "tests/test_metrics_power.py",
        ("(1 - confidence) / 2, freedom", "1 - confidence, freedom", "a one-sided test"),
        ("float(n - 1)", "float(n)", "a degree of freedom too many"),
        ("- (1 - power))", "- power)", "misses for hits"),
        ("lo=max(2, ceiling // 2)", "lo=ceiling", "seeds to the next power of two"),
        ("power=power, confidence=confidence) <=", "confidence=confidence) <=", "power unused"),
    ),
    *mutants(
        "data/cut.py",
        "tests/test_cut.py",
        ("(-label / (num_classes - 1)", "(-label / num_classes", "the exponent's denominator"),
        ("int(max_count * imbalance**power)", "round(max_count * imbalance**power)", "truncation"),
        ("np.random.RandomState(DRAW_SEED)", "np.random.RandomState(1)", "another subset"),
        ("        generator.shuffle(positions)\n", "", "the first pictures instead of a draw"),
        ("kept.append(positions[:count])", "kept.append(positions[-count:])", "the other end"),
        ("rest.append(positions[count:])", "rest.append(positions)", "kept pictures discarded too"),
    ),
    *mutants(
        "data/holdout.py",
        "tests/test_holdout.py",
        (
            "np.maximum(np.rint(counts * fraction), 1)",
            "np.rint(counts * fraction)",
            "no tail held out",
        ),
        ("np.maximum(counts - 1, 0)), np.int64)", "counts), np.int64)", "a class held out whole"),
        ("np.minimum(thrown_away, per_class)", "np.minimum(thrown_away, 0)", "all from train"),
        ("np.minimum(per_class - given,", "np.minimum(per_class,", "too many taken from train"),
    ),
    *mutants(
        "data/hashing.py",
        "tests/test_cut.py tests/test_sources.py tests/test_npz.py",
        ("digests = sorted(", "digests = list(", "a hash that knows the order"),
    ),
    *mutants(
        "data/views/policy.py",
        "tests/test_views.py",
        ("applied < chance", "applied >= chance", "operations applied when not drawn"),
        ("direction < 0.5", "direction < 0.0", "magnitudes of one sign"),
        ('"solarize", 0.5, 2', '"solarize", 0.5, 3', "a magnitude of the policy"),
        ("_MAX_SHIFT = 150 / 331", "_MAX_SHIFT = 0.3", "shifts of AutoAugment"),
    ),
    *mutants(
        "data/views/photo.py",
        "tests/test_views.py",
        ("2 * (width // 8) + 1)", "2 * (width // 8))", "the last crop never drawn"),
        ("1)[:, 0] < 0.5", "1)[:, 0] < 0.6", "mirrored too often"),
        (">= 0.8", ">= 0.7", "colours changed too seldom"),
        ("height // 2)", "height // 4)", "a small hole"),
        ("(grey >= 0.2)", "(grey >= 0.3)", "grey too often"),
        ("[0.4, 0.4, 0.4, 0.1]", "[0.4, 0.4, 0.4, 0.2]", "hue turned too far"),
    ),
    *mutants(
        "data/samplers/orders.py",
        SAMPLERS,
        ("fold(seed, name, epoch)", "fold(seed, name)", "the same order in every epoch"),
        ("fold(seed, name, epoch)", "fold(0, name, epoch)", "one order for all seeds"),
        ("fold(seed, name, epoch)", 'fold(seed, "", epoch)', "samplers that draw alike"),
        ("members.starts[classes] + which", "members.starts[classes]", "one sample a class"),
        ("run = min(run, size)", "pass", "memory for a run of any length"),
        ("repeat(rounds)[shuffled]", "repeat(rounds)", "classes always in one turn"),
        (
            'permutation(fold(key, "one more"), len(present)) < left',
            "torch.arange(len(present)) < left",
            "one more to the first",
        ),
        ("_dealt(members, draws, key)[order]", "_dealt(members, draws, key)", "class by class"),
        ("int(members.counts[present].min())", "1", "a subset of one sample a class"),
        ("subset.repeat(passes)[which]", "subset.repeat(passes)", "passes that are not shuffled"),
        ('"list", this_round, positions', '"list", positions', "one shuffle of a list"),
    ),
    *mutants(
        "data/samplers/shares.py",
        SAMPLERS,
        ("np.sqrt(counts)", "counts", "no square root"),
        ("(1 - progress) * proportional", "progress * proportional", "progress backwards"),
        ("np.where(counts > 0, weights, 0.0)", "weights", "a share for a class without samples"),
        ("counts / (1 - beta", "1 / (1 - beta", "a class's weight for a sample's"),
    ),
    *mutants(
        "data/samplers/__init__.py",
        SAMPLERS,
        ("if run < 1:", "if run < 0:", "a run of no sample"),
        ("0 <= beta < 1", "0 <= beta <= 1", "beta of 1"),
    ),
    *mutants(
        "data/samplers/coverage.py",
        SAMPLERS,
        ("torch.unique(order)", "order", "repeats counted as distinct"),
        ("if seen in (0, size)", "if seen == 0", "all of a class in per cent"),
        ("or 'under 1'", "or 0", "0 % of what is seen"),
    ),
    *mutants(
        "data/batches.py",
        BATCHES,
        ("range(first, count", "range(0, count", "a resumed epoch starts over"),
        ("epoch, index[order])", "epoch, order)", "views keyed by place in the split"),
        ('"view", epoch, index[order]', '"view", index[order]', "views of one epoch"),
        ("fold(keys, number)", "keys", "two contrastive views alike"),
        ("torch.where(repeat > 0, fold(keys", "torch.where(repeat < 0, fold(keys", "repeats alike"),
        (
            "torch.where(repeat > 0, fold(keys",
            "torch.where(repeat >= 0, fold(keys",
            "new first views",
        ),
        ('fold(keys, "again", repeat)', 'fold(keys, "again")', "later repeats alike"),
        ("argsort(order, stable=True)", "argsort(order, descending=True)", "repeats miscounted"),
        ("numbered[:1]), (", "numbered[:2]), (", "a contrastive view of the first order"),
        ("own, others)", "own, own)", "labels of the first view for all"),
        ("(1.0 / (255.0 * std))", "(1.0 / 255.0)", "deviation not normalised"),
        (
            "samples = normalise(samples, statistics)\n",
            "pass\n",
            "noise on vectors that are not standardised",
        ),
        ("start + at_once, count)", "start + at_once, count + 1)", "a batch that is not full"),
        ("std > 1e-9 * np.abs(mean)", "std > 0", "rounding of a constant feature blown up"),
        (
            "np.linspace(0, len(split) - 1, min(len(split), _SAMPLED))",
            "np.arange(min(len(split), _SAMPLED))",
            "statistics of the first samples",
        ),
    ),
    *mutants(
        "losses/fused.py",
        FUSED,
        ("without_rows(c), tiles", "c, tiles", "rows held after the backward pass"),
        ("c.share / c.positives.clamp(min=1)", "c.share.clone()", "a sum over positives, no mean"),
        ("torch.where(length > EPSILON, inverse, 0.0)", "inverse", "rows of 0 learn nothing"),
        ("is None else anchor_size * c.anchor_scale", "is None else anchor_size", "no compression"),
        ("is None else size * c.key_scale", "is None else size", "keys not compressed"),
        ("else c.own_weight,\n        share", "else c.share,\n        share", "no average"),
        ('"ieee" if features.dtype == torch.float32 else "tf32"', '"tf32"', "float32 cut to TF32"),
    ),
    *mutants(
        "losses/fused_kernels.py",
        FUSED,
        ('tl.trans(right), input_precision="ieee"', "tl.trans(right)", "scores cut to TF32"),
        ("total * tl.exp(top - new_top) +", "total +", "sums below another maximum added"),
        ("is_key = (anchor[:, None] != key[None, :]) &", "is_key =", "an anchor its own key"),
        ("pair = (row[:, None] != other[None, :]) &", "pair =", "and in the gradient"),
        ("has_key = total > 0", "has_key = total > -1", "no number where there is no key"),
        ("- tl.sum(gradient * unit, 1)[:, None] * unit", "", "no gradient of the length"),
        ("tl.where(same_class & pair, positive", "tl.where(same_class, positive", "own positive"),
        ("weight + tl.where(same_class, own_weight, 0.0)", "weight", "no average in gradients"),
        (
            "_values(prototype_along, row, c)) * tl.load(upstream)",
            "_values(prototype_along, row, c))",
            "what follows the loss is forgotten",
        ),
    ),
    *mutants(
        "optim/schedules.py",
        OPTIM,
        ("progress >= milestone", "progress > milestone", "the drop a step late"),
        ("min(1.0, progress / length)", "progress / length", "warm-up without an end"),
        ("0.5 * (1.0 +", "1.0 * (1.0 +", "cosine twice as high"),
    ),
    *mutants(
        "optim/__init__.py",
        OPTIM,
        ("(step + 1) / num_steps, s", "step / num_steps, s", "the first step does not move"),
        ("done = step / num_steps", "done = (step + 1) / num_steps", "drops a step early"),
        ("nesterov=settings.nesterov", "nesterov=False", "nesterov not passed on"),
        ("set_weight_decay(optimiser, settings", "(lambda *_: None)(settings", "no weight decay"),
        ('weight_decay * group["weight_decay_factor"]', "weight_decay", "one decay for all"),
        ('own = rate * group["lr_factor"]', "own = rate", "one rate for all"),
        ('["momentum_buffer"].zero_()', '["momentum_buffer"].mul_(0.5)', "momenta half kept"),
    ),
    *mutants(
        "nn/encoders.py",
        NN,
        ("before = self.new_channels // 2", "before = 0", "zero channels on one side"),
        (":: self.stride, :: self.stride", "1 :: self.stride, 1 :: self.stride", "odd pixels"),
        ("(1, 2, 2)", "(1, 2, 1)", "the last stage at the wrong scale"),
    ),
    *mutants(
        "nn/model.py",
        NN,
        ("first, others = features[:batch]", "first, others = features[-batch:]", "wrong view"),
        ("logits=self.classifier(seen)", "logits=self.classifier(first)", "FCC without effect"),
        ("(self.classifier.weight)", "(self.classifier.weight.detach())", "prototypes not taught"),
        ("torch.random.fork_rng(devices=[])", "torch.enable_grad()", "global generator moved"),
    ),
    *mutants(
        "training/checkpoint.py",
        CHECKPOINT,
        (
            "if hashlib.sha256(content).hexdigest() != hashes[name]:",
            "if False:",
            "damage not noticed",
        ),
        ("os.replace(draft, final)\n", "shutil.copytree(draft, final)\n", "not renamed but copied"),
        ("[:_KEPT]", "[:1]", "no checkpoint to fall back on"),
        ("if _step_of(path) <= step", "", "corrupt newer ones push out good ones"),
        ("key=_step_of, reverse=True", "key=_step_of", "the oldest checkpoint is read"),
        (", KeyError, TypeError", "", "a damaged manifest is a bug"),
        ("        _sync(folder)\n", "", "the new name is not durable"),
        (
            "shutil.rmtree(draft, ignore_errors=True)\n        draft.mkdir",
            "draft.mkdir",
            "a draft that a kill has left is in the way",
        ),
    ),
    *mutants(
        "training/state.py",
        RESUME,
        ('named[f"momentum.{name}"] = momentum', "pass", "momentum lost"),
        ('_KEPT = ("loss_sums", "class_', '_KEPT = ("class_', "losses of a half epoch lost"),
        ('"class_scale", "class_means")', '"class_means")', "compression forgotten"),
        ('"class_scale", "class_means")', '"class_scale")', "centroids of the epoch lost"),
        ('value.copy_(tensors[f"meta.{name}"])', "pass", "the meta sampler starts anew"),
        ('_under("selected.", tensors)', "{}", "the selected weights lost"),
        ('state.selected_score = values["selected_score"]', "pass", "the selected score lost"),
        ("None if best is None else BestOnTest(**best)", "None", "best on test lost"),
    ),
    *mutants(
        "training/state.py",
        TRAINING,
        ("[self.loss_sums, *self.model.state_dict().values()]", "[self.loss_sums]", "NaN weights"),
    ),
    *mutants(
        "training/save.py",
        TRAINING,
        ("and state.is_finite()", "", "a diverged state replaces a good one"),
    ),
    *mutants(
        "training/log.py",
        RESUME,
        ('line["step"] <= step', "True", "epochs logged twice"),
        ('line["step"] <= step', 'line["step"] < step', "an epoch missing from the log"),
    ),
    *mutants(
        "training/loop.py",
        RESUME,
        (
            "make_batches(state, phase, epoch, first)",
            "make_batches(state, phase, epoch, 0)",
            "starts over",
        ),
        ("resumed=first > 0", "resumed=False", "sums of an epoch restarted"),
        ("epoch == phase.first and first == 0", "first == 0", "a stage begun every epoch"),
        ("epoch == phase.first and first == 0", "epoch == phase.first", "a stage begun twice"),
        ("if state.step % per_epoch and saver", "if saver", "saved before the epoch's line"),
    ),
    *mutants(
        "training/loop.py",
        GRAPH,
        ("if phase is not entered", "if entered is None", "the first stage's step for all"),
    ),
    *mutants(
        "training/graph.py",
        GRAPH,
        ("static.copy_(given)", "pass", "the first batch again and again"),
        ("self.calls <= WARM_UPS", "False", "recorded before there is momentum"),
        ("return self.replay()", "return self.step(batch)", "a recording that is not used"),
        ("(torch.empty_like(tensor) for", "(tensor for", "the first batch is written over"),
    ),
    # What changes between steps must change in the memory that was recorded.
    *mutants(
        "training/epoch.py",
        GRAPH,
        (
            "state.term_weights[: len(weights)] = torch.tensor(weights)",
            "state.term_weights = torch.tensor(weights)",
            "the terms weighed as in the epoch of the recording",
        ),
        (
            "state.feature_factors.copy_(recipe.feature_factors.factors)",
            "state.feature_factors = recipe.feature_factors.factors.clone()",
            "FCC never begins",
        ),
        (
            "state.class_means.copy_(measure_class_means(plan, dataset, state.model))",
            "state.class_means = measure_class_means(plan, dataset, state.model)",
            "centroids of the epoch of the recording",
        ),
    ),
    *mutants(
        "training/compression.py",
        GRAPH,
        ("state.class_scale.copy_(chosen)", "state.class_scale = chosen", "never compressed"),
    ),
    *mutants(
        "optim/__init__.py",
        GRAPH,
        ("if recordable else settings.lr", "if False else settings.lr", "one rate for ever"),
        ('group["lr"].fill_(own)', 'group["lr"] = torch.tensor(own)', "one rate for ever"),
    ),
    *mutants(
        "training/stages.py",
        STAGES,
        ("(ends[-1] if ends else 0) + 1", "(ends[-1] if ends else 0)", "a stage without an epoch"),
        ("epochs - later))", "epochs))", "no epoch left for a later stage"),
        ("schedule_end=ends[following - 1],", "schedule_end=ends[number],", "a schedule cut short"),
        ("schedule_first=firsts[begun],", "schedule_first=firsts[number],", "begun again"),
        ("_restarted(settings, stages[begun]),", "_restarted(settings, stage),", "rate forgotten"),
        ("if n == 0 or stage.restart]", "if n == 0]", "no stage restarts"),
        ("parameter.requires_grad_(learns)", "pass", "nothing is frozen"),
        ("forget_momenta(state.optimiser)", "pass", "old momenta in a new stage"),
        ("    model.train()\n", "", "a model left in evaluation mode"),
        ("part.eval()  # dropout", "pass  # dropout", "statistics of frozen parts move"),
        ("if stage.moving_norm and isinstance", "if isinstance", "they always move"),
        ("set_weight_decay(state.optimiser, phase", "(lambda *_: None)(phase", "decay of before"),
    ),
    *mutants(
        "training/feed.py",
        f"{STAGES} {TRAINED}",
        ("sampler(phase.stage.sampler)(", 'sampler("instance")(', "no sampler but one"),
        ("sampler(other)(labels", "sampler(phase.stage.sampler)(labels", "one sampler for both"),
        ("state.meta = adam_step(", "adam_step(", "a meta sampler that does not learn"),
        ('fold(plan.seed, "meta", step)', 'fold(plan.seed, "meta", step - first)', "resumed"),
        ("scaled(features, scales.first)", "features", "a trial step without FCC"),
    ),
    *mutants(
        "training/step.py",
        f"{GOLDEN} {TRAINED}",
        ('if term.reads[0] == "embeddings" else batch.labels', "", "one branch's labels for both"),
        ("Scales(state.feature_factors[batch.labels]", "Scales(others", "factors of other samples"),
    ),
    *mutants(
        "nn/experts.py",
        EXPERT_MODEL,
        ("total[going] / asked", "total[going]", "the router sees a sum, not a mean"),
        ("nn.init.zeros_(self.score.weight)", "pass", "an untrained router that stops"),
        ('self.trunk_learns_from == "first"', "False", "every expert teaches the trunk"),
        ("features if factors is None", "features if True", "FCC without effect on experts"),
    ),
    *mutants(
        "nn/ensemble.py",
        EXPERT_MODEL,
        ("(norms * share).sum(1) / share.sum(1)", "norms.mean(1)", "sizes of classes not owned"),
        ("torch.where(sizes > 0,", "torch.where(sizes >= 0,", "zero weights divide by zero"),
    ),
    *mutants(
        "nn/classifiers.py",
        f"{NN} {FINISHED}",
        ("nn.Parameter(F.normalize(rows))", "nn.Parameter(rows)", "cosine rows of any length"),
        ("self.centre.copy_(features.mean(0))", "pass", "features that are not centred"),
        (
            "masked_fill(~self.known, _BEYOND)",
            "masked_fill(~self.known, 0.0)",
            "absent classes win",
        ),
        ("math.log(max(1, num_classes - 1))", "math.log(num_classes)", "another bias"),
    ),
    *mutants(
        "training/meta.py",
        META,
        ("1 + (shares - shares.detach())", "1 + 0 * shares", "no gradient through the draw"),
        ("momentum * momenta[name] if", "0 * momenta[name] if", "a trial step from rest"),
        ("decay in (0.9, 0.999))", "decay in (0.9, 0.9))", "Adam with another correction"),
    ),
    *mutants(
        "methods/modifiers.py",
        RECIPES,
        ("ranks / data.num_classes", "ranks / (data.num_classes - 1)", "FCC's last factor is 1"),
        (', kind="stable"', "", "ties in any order"),
        ("and not stage.meta", "", "a meta sampler is replaced"),
    ),
    *mutants(
        "methods/tau_norm.py",
        FINISHED,
        ("max(GRID, key", "min(GRID, key", "the worst exponent"),
        ("classifier.bias.zero_()", "pass", "the bias is kept"),
    ),
    *mutants(
        "methods/hybrid.py",
        f"{RECIPES} {GOLDEN}",
        ("progress**2", "progress", "another curriculum"),
    ),
    *mutants(
        "training/epoch.py",
        TRAINING,
        ("> state.selected_score", ">= state.selected_score", "the last of equal epochs"),
        ('_select if name == "holdout" else _remember_best_on_test', "_select", "chosen on test"),
        ("value.detach().cpu().clone()", "value.detach().cpu()", "selected weights move on"),
    ),
    *mutants(
        "training/stop.py",
        RESUME,
        ("if h not in (signal.SIG_IGN, None)", "", "an ignored signal ends training"),
        (
            "        signal.signal(number, previous[signal.Signals(number)])\n",
            "",
            "no second signal",
        ),
    ),
    *mutants(
        "training/compression.py",
        "tests/test_methods.py",
        ("accuracy < compression.threshold", "accuracy <= compression.threshold", "0 is below 0"),
        ("compression.factor, 1.0", "1.0, compression.factor", "strong classes compressed"),
    ),
    *mutants(
        "data/rows.py",
        "tests/test_rows.py",
        ("self.source[self.positions[rows]]", "self.source[rows]", "rows of the map, not of these"),
        ("array.positions[positions]", "positions", "rows of rows"),
    ),
    *mutants(
        "nn/weights.py",
        "tests/test_run.py",
        ("[_CHECKSUM] == _checksum(tensors)", '[_CHECKSUM] != ""', "a flipped bit in the weights"),
    ),
    *mutants(
        "evaluation.py",
        "tests/test_run.py tests/test_training.py",
        ("    model.eval()\n", "", "batch statistics of the test split"),
        ("(posthoc or _as_is)", "(_as_is)", "post-hoc adjustment left out"),
        (", cache_enabled=False", "", "casts shared with other threads"),
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
