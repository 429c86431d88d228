"""Log-probabilities of a chat answer, as OpenAI's API gives them: ``logprobs.content`` with ``top_logprobs``."""

from __future__ import annotations

from typing import Any

from freehold.types.dataset import TeacherToken


def teacher_tokens(told: Any) -> tuple[TeacherToken, ...] | None:
    """The tokens of a choice's ``logprobs`` with their likeliest alternatives; None where there are none to read."""
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, list):
        return None
    found = []
    for token in content:
        if not isinstance(token, dict) or not isinstance(token.get("token"), str):
            return None
        listed = token.get("top_logprobs") or [token]
        top = tuple(
            (str(one["token"]), float(one["logprob"]))
            for one in listed
            if isinstance(one, dict) and isinstance(one.get("logprob"), int | float) and "token" in one
        )
        found.append(TeacherToken(text=token["token"], top=top))
    return tuple(found) or None
