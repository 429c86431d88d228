"""JSON found in a model's answer, and two JSON values compared."""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any, Literal

from freehold.evals.normalizing import normalized_label, unfenced

Accept = Literal["strict", "fenced", "anywhere"]


class NotJson(ValueError):
    """The text holds no JSON of the accepted form; the message says where it breaks."""


def parse_json(text: str, accept: Accept = "fenced") -> Any:
    """The JSON value an answer holds. Raises `NotJson`.

    ``strict``: the whole text. ``fenced``: the same, or one Markdown code fence around it. ``anywhere``: else
    the first object or array in the text. ``NaN`` and ``Infinity`` are not JSON (RFC 8259, section 6).
    """
    body = text.strip() if accept == "strict" else unfenced(text)
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        if accept == "anywhere":
            decoder = json.JSONDecoder(parse_constant=_refuse)
            for start, character in enumerate(text):
                if character in "{[":
                    try:
                        return decoder.raw_decode(text, start)[0]
                    except RecursionError:
                        break  # what is nested in it is too deep as well, and trying it all takes a square of the time
                    except ValueError:
                        continue
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise NotJson(message) from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def same(
    left: Any, right: Any, *, tolerance: float = 0.0, normalize: bool = False, ordered: bool = True
) -> bool:
    """Whether two JSON values mean the same.

    Numbers by value (``1`` and ``1.0``) within `tolerance` relative to the right one; booleans are not numbers; strings
    in NFC without outer space, or as labels with `normalize`; lists in order, lists of text as sets unless `ordered`.
    """
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right or math.isclose(left, right, rel_tol=0.0, abs_tol=tolerance * abs(right))
    if isinstance(left, str) and isinstance(right, str):
        return _text(left, normalize) == _text(right, normalize)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(left[key], right[key], tolerance=tolerance, normalize=normalize, ordered=ordered)
            for key in left
        )
    if isinstance(left, list) and isinstance(right, list):
        if not ordered and all(isinstance(label, str) for label in (*left, *right)):
            return {_text(label, normalize) for label in left} == {_text(label, normalize) for label in right}
        return len(left) == len(right) and all(
            same(one, other, tolerance=tolerance, normalize=normalize, ordered=ordered)
            for one, other in zip(left, right, strict=True)
        )
    return left is None and right is None


def without_nulls(value: Any) -> Any:
    """A JSON value without the keys whose value is null: an absent key and a null one mean the same."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def _text(value: str, normalize: bool) -> str:
    return normalized_label(value) if normalize else unicodedata.normalize("NFC", value).strip()
