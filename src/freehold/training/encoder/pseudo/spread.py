"""What texts without an answer are likely to be, from the few that have one and from which texts are alike.

Source: Zhou et al., Learning with Local and Global Consistency, 2003: answers spread along a graph of nearest
neighbours, with symmetric normalization; what heads think of each text is where it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freehold.late import np
from freehold.training.encoder.base import Floats
from freehold.training.encoder.heads import Places

if TYPE_CHECKING:
    import numpy.typing as npt

NEIGHBOURS = 15
SPREAD = 0.8
"""How much a text takes from its neighbours at each of the steps."""
STEPS = 20
WIDTH = 0.1
"""By how much less alike neighbours may be to count 1/e as much."""
_BLOCK = 1024


def spread(features: Floats, labelled: Places, labels: Places, prior: Floats) -> Floats:
    """Probabilities of labels [texts, labels]. `features` are of length 1; texts at `labelled` have the `labels`
    beside them; `prior` is what heads think of every text."""
    from scipy.sparse import csr_matrix

    count = len(features)
    near, alike = neighbours(features, min(NEIGHBOURS, count - 1))
    weights = np.exp((alike - 1) / WIDTH)
    graph: Any = csr_matrix(
        (weights.ravel(), (np.repeat(np.arange(count), near.shape[1]), near.ravel())), shape=(count, count)
    )
    graph = graph.maximum(graph.T)
    scale = 1 / np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1e-12))
    graph = graph.multiply(scale[:, None]).multiply(scale[None, :]).tocsr()
    start = prior.astype(np.float64)
    start[labelled] = np.eye(prior.shape[1])[labels]
    now = start.copy()
    for _ in range(STEPS):
        now = SPREAD * (graph @ now) + (1 - SPREAD) * start
    now[labelled] = start[labelled]
    made: Floats = (now / np.maximum(now.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return made


def neighbours(features: Floats, count: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """The `count` nearest others of each row, and how alike they are (cosine)."""
    near = np.empty((len(features), count), dtype=np.intp)
    alike = np.empty((len(features), count), dtype=np.float32)
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK] @ features.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        near[start : start + len(block)] = np.argpartition(-block, count - 1, axis=1)[:, :count]
        alike[start : start + len(block)] = np.take_along_axis(
            block, near[start : start + len(block)], axis=1
        )
    return near, alike
