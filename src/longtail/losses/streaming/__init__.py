"""The contrastive softmax in memory linear in rows and keys; see `kernel`."""

from longtail.losses.streaming.kernel import streamed

__all__ = ["streamed"]
