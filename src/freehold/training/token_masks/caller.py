"""Tokens without a training library in this process: a child loads the tokenizer, and ends after a while unused.

The libraries take hundreds of MiB and some seconds. A console that shows a page of samples must neither keep the one
nor spend the other in its own process, and a template that never ends must end nothing but the child.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import msgspec

from freehold.bounded.caller import BoundedCaller
from freehold.bounded.pool import OutOfBoundsError
from freehold.errors import TrainingError
from freehold.training import base
from freehold.training.token_masks.job import MaskAnswer, MaskRefusal
from freehold.types.planning.token_mask import MaskedSamples, MaskRequest

CPU_S = 120.0
WALL_S = 180.0
IDLE_S = 300.0
"""How long the child is kept after its last page."""
MOST_PAGES = 64
"""Pages kept: a dataset never changes, so a page looked at again costs nothing."""

_ENDED = {
    "time": f"the tokens were not there after {CPU_S:.0f} seconds",
    "memory": "the tokens took too much memory",
}


class MaskCaller:
    """Asks for the tokens of a page at a time, and keeps the last pages."""

    def __init__(self, *, idle_s: float = IDLE_S) -> None:
        self._caller = BoundedCaller("freehold.training.token_masks.job")
        self._lock = threading.Lock()
        self._pages: OrderedDict[bytes, MaskedSamples] = OrderedDict()
        self._idle_s = idle_s
        self._end: threading.Timer | None = None

    def masks(self, request: MaskRequest) -> MaskedSamples:
        """The tokens of a request's samples. Raises `MissingExtraError` and `TrainingError`."""
        # Of the samples a digest is kept: with pictures in them a page is many megabytes.
        asked = hashlib.blake2b(msgspec.msgpack.encode(request)).digest()
        with self._lock:
            if asked not in self._pages:
                base.require()
                self._pages[asked] = self._ask(request)
            self._pages.move_to_end(asked)
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)
            return self._pages[asked]

    def _ask(self, request: MaskRequest) -> MaskedSamples:
        if self._end is not None:
            self._end.cancel()
        try:
            (said,) = self._caller.run("mask", [msgspec.json.encode(request)], cpu_s=CPU_S, wall_s=WALL_S)
        except OutOfBoundsError as error:
            raise TrainingError(
                _ENDED.get(error.why, f"what tokenizes the samples ended: {error}"),
                hint="without a limit: freehold dataset show --tokens 3",
            ) from None
        finally:
            self._end = threading.Timer(self._idle_s, self.close)
            self._end.daemon = True
            self._end.start()
        answer = msgspec.json.decode(said, type=MaskAnswer | MaskRefusal)
        if isinstance(answer, MaskRefusal):
            raise TrainingError(answer.message, hint=answer.hint)
        return answer.masked

    def close(self) -> None:
        """End the child; the next page starts another one."""
        with self._lock:
            self._caller.close()
