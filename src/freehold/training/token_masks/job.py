"""What the child process of `freehold.training.token_masks.caller` does: load a tokenizer once, then tokenize pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from freehold.errors import FreeholdError
from freehold.training.token_masks.masking import masked, tokenizer_of
from freehold.types.planning.token_mask import MaskedSamples, MaskRequest
from freehold.types.record import Record, content_id
from freehold.types.training import WrittenCalls


class MaskRefusal(Record, frozen=True, kw_only=True, tag=True):
    """Why there are no tokens, in the words of the error that said so."""

    message: str
    hint: str | None


class MaskAnswer(Record, frozen=True, kw_only=True, tag=True):
    """What became of the samples."""

    masked: MaskedSamples


_loaded: dict[str, tuple[Any, WrittenCalls]] = {}
"""The tokenizer that was used last: a page after another one is of the same dataset."""


def mask(parts: Sequence[bytes]) -> list[bytes]:
    """A `MaskRequest` becomes a `MaskAnswer`, or a `MaskRefusal` in JSON."""
    request = msgspec.json.decode(parts[0], type=MaskRequest)
    key = content_id([request.base.sha256, request.base.path, request.dataset.id, request.config.call_format])
    try:
        if key not in _loaded:
            loaded = tokenizer_of(request)
            _loaded.clear()
            _loaded[key] = loaded
        answer: Record = MaskAnswer(masked=masked(*_loaded[key], request))
    except FreeholdError as error:
        answer = MaskRefusal(message=error.message, hint=error.hint)
    return [msgspec.json.encode(answer)]


JOBS = {"mask": mask}
