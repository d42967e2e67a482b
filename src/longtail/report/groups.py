"""The groups of classes in words, from the limits that decide them."""

from longtail.prior import FEW_BELOW, MANY_ABOVE, Group

GROUP_RANGES: dict[Group, str] = {
    "many": f"more than {MANY_ABOVE}",
    "medium": f"{FEW_BELOW} to {MANY_ABOVE}",
    "few": f"fewer than {FEW_BELOW}",
}
"""Training samples that a class of the group has."""
