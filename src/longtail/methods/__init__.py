"""Methods: one file each, and the one list of them."""

from longtail.methods import balanced_softmax, bcl, bcl_rcl, ce, logit_adjustment, rcl, scl
from longtail.recipe import Method

METHODS: dict[str, Method] = {
    "ce": ce.METHOD,
    "balanced-softmax": balanced_softmax.METHOD,
    "logit-adjustment": logit_adjustment.METHOD,
    "posthoc-logit-adjustment": logit_adjustment.POSTHOC_METHOD,
    "scl": scl.METHOD,
    "bcl": bcl.METHOD,
    "rcl": rcl.METHOD,
    "bcl-rcl": bcl_rcl.METHOD,
}
