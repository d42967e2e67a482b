# mypy: disable-error-code="no-untyped-def,untyped-decorator"
# Triton reads an annotation as the type of a kernel's argument, so only constants have one.
"""The Triton kernels of `longtail.losses.fused`: what one program does with its block of rows.

Letters: n features (anchors, and the first keys), c prototypes (the other keys), D dimension. A
program owns BLOCK rows and walks over the others in tiles of TILE rows; it alone writes its rows,
so that nothing is added up in an order that changes between runs. Rows are read raw: length,
compression and temperature are factors of their products, which are exact in float32 where rows
are in half precision. Every kernel takes the fields of `fused.Operands` in their order.
"""

import triton
import triton.language as tl

LOWEST = tl.constexpr(-3.4028234663852886e38)
"""A finite stand-in for minus infinity: the difference of two is a number."""


@triton.jit
def _numbers(start, BLOCK: tl.constexpr):
    """Row numbers of a block; 64 bits, since a row's number times D may need them."""
    return (start + tl.arange(0, BLOCK)).to(tl.int64)


@triton.jit
def _rows(matrix, numbers, count, D: tl.constexpr, WIDTH: tl.constexpr):
    """Rows of a matrix [count, D], zero beyond its edges."""
    columns = tl.arange(0, WIDTH)
    inside = (numbers < count)[:, None] & (columns < D)[None, :]
    return tl.load(matrix + numbers[:, None] * D + columns[None, :], mask=inside, other=0.0)


@triton.jit
def _values(vector, numbers, count):
    """Values of a vector [count], zero beyond its end."""
    return tl.load(vector + numbers, mask=numbers < count, other=0.0)


@triton.jit
def _products(left, right, WIDEN: tl.constexpr):
    """Every row of one block with every row of another, in float32 and never in TF32."""
    if WIDEN:
        left, right = left.to(tl.float32), right.to(tl.float32)
    return tl.dot(left, tl.trans(right), input_precision="ieee")


@triton.jit
def _accumulated(top, total, scores):
    """The running logsumexp of each row as its maximum and the sum of exponentials below it."""
    new_top = tl.maximum(top, tl.max(scores, 1))
    total = total * tl.exp(top - new_top) + tl.sum(tl.exp(scores - new_top[:, None]), 1)
    return new_top, total


@triton.jit
def _pull(products, weight, own_weight, same_class, pair, normaliser, share, positive_share):
    """Gradient of the sum in the products of anchors with keys; 0 where the two are no pair."""
    scores = products + weight + tl.where(same_class, own_weight, 0.0)
    probability = tl.exp(tl.where(pair, scores - normaliser, float("-inf")))
    return share * probability - tl.where(same_class & pair, positive_share, 0.0)


@triton.jit
def _across(gradient, rows, along):
    """A gradient without its part along the rows; `along` makes them 1 long, or 0 to keep it."""
    unit = rows.to(tl.float32) * along[:, None]
    return gradient - tl.sum(gradient * unit, 1)[:, None] * unit


@triton.jit
def _store_rows(matrix, numbers, count, values, D: tl.constexpr, WIDTH: tl.constexpr):
    columns = tl.arange(0, WIDTH)
    inside = (numbers < count)[:, None] & (columns < D)[None, :]
    target = matrix + numbers[:, None] * D + columns[None, :]
    tl.store(target, values.to(matrix.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["n", "c"])
def forward_kernel(
    features,
    prototypes,
    labels,
    anchor_size,
    key_size,
    prototype_size,
    feature_along,
    prototype_along,
    key_weight,
    own_weight,
    share,
    positive_share,
    normaliser,
    terms,
    n,
    c,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """Write the normaliser of each anchor of a block, and its term of the sum."""
    anchor = _numbers(tl.program_id(0) * BLOCK, BLOCK)
    rows = _rows(features, anchor, n, D, WIDTH)
    label = tl.load(labels + anchor, mask=anchor < n, other=-1)
    size = _values(anchor_size, anchor, n)
    own = _values(own_weight, anchor, n)
    top = tl.full((BLOCK,), LOWEST, tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    attraction = tl.zeros((BLOCK,), tl.float32)

    for start in range(0, n, TILE):
        key = _numbers(start, TILE)
        key_rows = _rows(features, key, n, D, WIDTH)
        key_label = tl.load(labels + key, mask=key < n, other=-2)
        weight = tl.load(key_weight + key_label, mask=key < n, other=0.0)
        factor = size[:, None] * _values(key_size, key, n)[None, :]
        products = _products(rows, key_rows, WIDEN) * factor
        is_key = (anchor[:, None] != key[None, :]) & (key < n)[None, :]
        positive = (label[:, None] == key_label[None, :]) & is_key
        attraction += tl.sum(tl.where(positive, products, 0.0), 1)
        scores = products + weight[None, :] + tl.where(positive, own[:, None], 0.0)
        top, total = _accumulated(top, total, tl.where(is_key, scores, float("-inf")))

    for start in range(0, c, TILE):
        key = _numbers(start, TILE)
        key_rows = _rows(prototypes, key, c, D, WIDTH)
        weight = _values(key_weight, key, c)
        factor = size[:, None] * _values(prototype_size, key, c)[None, :]
        products = _products(rows, key_rows, WIDEN) * factor
        positive = label[:, None] == key[None, :]
        attraction += tl.sum(tl.where(positive, products, 0.0), 1)
        scores = products + weight[None, :] + tl.where(positive, own[:, None], 0.0)
        is_key = (key < c)[None, :]
        top, total = _accumulated(top, total, tl.where(is_key, scores, float("-inf")))

    # An anchor without any key has a share of 0, and 0 * -inf is no number.
    has_key = total > 0
    log_sum = tl.where(has_key, top, 0.0) + tl.log(tl.where(has_key, total, 1.0))
    term = _values(share, anchor, n) * log_sum - _values(positive_share, anchor, n) * attraction
    tl.store(normaliser + anchor, log_sum, mask=anchor < n)
    tl.store(terms + anchor, term, mask=anchor < n)


@triton.jit(do_not_specialize=["n", "c"])
def features_kernel(
    features,
    prototypes,
    labels,
    anchor_size,
    key_size,
    prototype_size,
    feature_along,
    prototype_along,
    key_weight,
    own_weight,
    share,
    positive_share,
    normaliser,
    upstream,
    gradient,
    n,
    c,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    WIDEN: tl.constexpr,
    PULL_PRECISION: tl.constexpr,
):
    """Write the gradient of a block of features, as anchors and as keys.

    A product of two features is a score in both directions, which saves half of the products.
    """
    row = _numbers(tl.program_id(0) * BLOCK, BLOCK)
    rows = _rows(features, row, n, D, WIDTH)
    label = tl.load(labels + row, mask=row < n, other=-1)
    row_weight = tl.load(key_weight + label, mask=row < n, other=0.0)[:, None]
    as_anchor = _values(anchor_size, row, n)[:, None]
    as_key = _values(key_size, row, n)[:, None]
    own = _values(own_weight, row, n)[:, None]
    part = _values(share, row, n)[:, None]
    positive_part = _values(positive_share, row, n)[:, None]
    log_sum = _values(normaliser, row, n)[:, None]
    total = tl.zeros((BLOCK, WIDTH), tl.float32)

    for start in range(0, n, TILE):
        other = _numbers(start, TILE)
        other_rows = _rows(features, other, n, D, WIDTH)
        other_label = tl.load(labels + other, mask=other < n, other=-2)
        other_weight = tl.load(key_weight + other_label, mask=other < n, other=0.0)[None, :]
        products = _products(rows, other_rows, WIDEN)
        same_class = label[:, None] == other_label[None, :]
        pair = (row[:, None] != other[None, :]) & (other < n)[None, :]
        factor = as_anchor * _values(key_size, other, n)[None, :]
        pull = factor * _pull(
            products * factor, other_weight, own, same_class, pair, log_sum, part, positive_part
        )
        factor = as_key * _values(anchor_size, other, n)[None, :]
        pull += factor * _pull(
            products * factor,
            row_weight,
            _values(own_weight, other, n)[None, :],
            same_class,
            pair,
            _values(normaliser, other, n)[None, :],
            _values(share, other, n)[None, :],
            _values(positive_share, other, n)[None, :],
        )
        total = tl.dot(pull, other_rows.to(tl.float32), total, input_precision=PULL_PRECISION)

    for start in range(0, c, TILE):
        key = _numbers(start, TILE)
        key_rows = _rows(prototypes, key, c, D, WIDTH)
        factor = as_anchor * _values(prototype_size, key, c)[None, :]
        products = _products(rows, key_rows, WIDEN) * factor
        weight = _values(key_weight, key, c)[None, :]
        same_class, pair = label[:, None] == key[None, :], (key < c)[None, :]
        pull = factor * _pull(products, weight, own, same_class, pair, log_sum, part, positive_part)
        total = tl.dot(pull, key_rows.to(tl.float32), total, input_precision=PULL_PRECISION)

    total = _across(total, rows, _values(feature_along, row, n)) * tl.load(upstream)
    _store_rows(gradient, row, n, total, D, WIDTH)


@triton.jit(do_not_specialize=["n", "c"])
def prototypes_kernel(
    features,
    prototypes,
    labels,
    anchor_size,
    key_size,
    prototype_size,
    feature_along,
    prototype_along,
    key_weight,
    own_weight,
    share,
    positive_share,
    normaliser,
    upstream,
    gradient,
    n,
    c,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    WIDEN: tl.constexpr,
    PULL_PRECISION: tl.constexpr,
):
    """Write the gradient of a block of prototypes, which are keys and never anchors."""
    row = _numbers(tl.program_id(0) * BLOCK, BLOCK)
    rows = _rows(prototypes, row, c, D, WIDTH)
    weight = _values(key_weight, row, c)[:, None]
    size = _values(prototype_size, row, c)[:, None]
    total = tl.zeros((BLOCK, WIDTH), tl.float32)

    for start in range(0, n, TILE):
        anchor = _numbers(start, TILE)
        anchor_rows = _rows(features, anchor, n, D, WIDTH)
        label = tl.load(labels + anchor, mask=anchor < n, other=-1)
        factor = size * _values(anchor_size, anchor, n)[None, :]
        pull = factor * _pull(
            _products(rows, anchor_rows, WIDEN) * factor,
            weight,
            _values(own_weight, anchor, n)[None, :],
            row[:, None] == label[None, :],
            (anchor < n)[None, :],
            _values(normaliser, anchor, n)[None, :],
            _values(share, anchor, n)[None, :],
            _values(positive_share, anchor, n)[None, :],
        )
        total = tl.dot(pull, anchor_rows.to(tl.float32), total, input_precision=PULL_PRECISION)

    total = _across(total, rows, _values(prototype_along, row, c)) * tl.load(upstream)
    _store_rows(gradient, row, c, total, D, WIDTH)
