"""A few validation samples that a model answers by itself each time it is evaluated, so that people see it learn.

The score of an evaluation says how many answers are right to the letter; what is wrong with the others is seen in what
the model writes. Greedy decoding, without a cache of keys and values: the samples are few, and their answers short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from freehold.training.formatting import Encoded, TaughtSample
from freehold.types.training import WrittenAnswer

SHOWN = 4
"""Samples that are answered."""
TOKENS_MAX = 96
"""Tokens of an answer that are written at most."""
SECONDS_MAX = 4.0
"""How long writing may take at one evaluation; what is begun is cut then."""


class UnansweredSample(NamedTuple):
    """A sample to be answered: its tokens up to its last answer, that answer's tokens, and how many are written at
    most."""

    id: str
    prompt: tuple[int, ...]
    target: tuple[int, ...]
    most: int


class WrittenTokens(NamedTuple):
    """Tokens that were written, and whether the answer came to its end."""

    ids: tuple[int, ...]
    ended: bool


Writer = Callable[[Sequence[UnansweredSample], float], list[WrittenTokens]]
"""What writes answers, within some seconds: a trainer's `write_answers`."""


def chosen(samples: Sequence[Any], tokens_max: int) -> list[UnansweredSample]:
    """`SHOWN` of the samples, evenly over all, that fit into `tokens_max` tokens together. Samples that are no tokens
    with a target, such as pairs of answers, are not among them."""
    encoded = [one for one in samples if isinstance(one, Encoded | TaughtSample)]
    found: list[UnansweredSample] = []
    room = tokens_max
    for at in range(0, len(encoded), max(1, len(encoded) // SHOWN)):
        one = asked(encoded[at])
        if len(found) < SHOWN and len(one.prompt) + one.most <= room:
            room -= len(one.prompt) + one.most
            found.append(one)
    return found


def asked(sample: Encoded | TaughtSample) -> UnansweredSample:
    """The sample as a question. One token more than the target has may be written, so that one too long is seen."""
    end = max(at for at, is_target in enumerate(sample.mask) if is_target) + 1
    begin = end
    while begin > 0 and sample.mask[begin - 1]:
        begin -= 1
    target = sample.ids[begin:end]
    return UnansweredSample(sample.id, sample.ids[:begin], target, min(2 * len(target) + 8, TOKENS_MAX))


def answers(write: Writer, samples: Sequence[UnansweredSample], tokenizer: Any) -> tuple[WrittenAnswer, ...]:
    """What the model writes, as text. `is_right`: token for token what is right."""
    if not samples:
        return ()
    return tuple(
        WrittenAnswer(
            sample_id=one.id,
            text=tokenizer.decode(said.ids, skip_special_tokens=True),
            is_right=said.ids == one.target,
            ended=said.ended,
        )
        for one, said in zip(samples, write(samples, SECONDS_MAX), strict=True)
    )
