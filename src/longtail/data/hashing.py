"""The name of a set of pictures: a hash that knows the pixels and not their order."""

import hashlib

import numpy as np
import numpy.typing as npt


def pictures_hash(inputs: npt.NDArray[np.generic]) -> str:
    """Sha256 in hex over the sorted sha256 digests of the rows of `inputs`.

    Sorting the digests makes the order of the pictures irrelevant, so two files that hold the same
    training pictures agree, and two draws of the same size do not.

    Args:
        inputs: uint8 [n, h, w, 3] pictures or float32 [n, d] vectors; memory maps are read row by
            row.
    """
    digests = sorted(hashlib.sha256(np.ascontiguousarray(row).data).digest() for row in inputs)
    return hashlib.sha256(b"".join(digests)).hexdigest()
