"""Rules of deferral, and candidates that say how sure they are."""

import json
import math

from tests.deferral_rules import one_tier
from tests.gateway.loopback import ANSWER, stream

from freehold.types.deferral import Calibration
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route, Target

BY_LOGPROB = Calibration(raw=(-10.0, 0.0), probability=(0.0, 1.0))
"""−2 is a probability of 0.8."""
SECRET = "a word of the rejected answer"


def rule_for(endpoint, model="tuned", **fields):
    """A rule that was proven for the model of an endpoint."""
    by_logprob = {"signal": "mean_logprob", "calibration": BY_LOGPROB}
    return one_tier(
        **{"model": model, "identity": endpoint.candidate_id(model), "incumbent": "m"} | by_logprob | fields
    )


def mixed(name, endpoint, rule, **more):
    """A promoted route whose candidate's side is a mixture."""
    values = {
        "model": name,
        "incumbent": Target(endpoint="incumbent", model="m"),
        "state": "promoted",
        **more,
    }
    return Route(name=name, candidate=Target(endpoint=endpoint.name, model="tuned"), deferral=rule, **values)


def own(name, base_url, **more):
    """An endpoint of one's own that tells log-probabilities."""
    return Endpoint(name=name, engine="llamacpp", base_url=base_url, **more)


def tokens_of(text, logprob):
    """The log-probabilities of a text whose words are its tokens."""
    words = [word if not place else f" {word}" for place, word in enumerate(text.split(" "))]
    return {
        "content": [{"token": word, "logprob": logprob, "bytes": None, "top_logprobs": []} for word in words]
    }


def told(text, logprob, **more):
    """A whole answer that tells how sure it is."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": None if logprob is None else tokens_of(text, logprob),
        "finish_reason": "stop",
    }
    return {**ANSWER, "id": "chatcmpl-candidate", "model": "candidate-model", "choices": [choice], **more}


def told_stream(text, logprob, *, pause=0.0, usage=True):
    """The same as a stream, one word at a time."""

    def chunk(choices, **more):
        head = {"id": "candidate-stream", "object": "chat.completion.chunk", "created": 1}
        return (
            b"data: " + json.dumps({**head, "model": "candidate-model", "choices": choices, **more}).encode()
        )

    events = []
    for entry in tokens_of(text, logprob or -math.inf)["content"]:
        logprobs = None if logprob is None else {"content": [entry]}
        delta = {"content": entry["token"]}
        events.append(chunk([{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None}]))
    events.append(chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]))
    if usage:
        counts = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        events.append(chunk([], usage=counts))
    events.append(b"data: [DONE]")
    return stream([event + b"\n\n" for event in events], pause=pause)
