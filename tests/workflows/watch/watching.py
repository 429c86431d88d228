"""A real incumbent on loopback, and weeks of a candidate's traffic."""

from datetime import timedelta

from tests.gateway.loopback import FakeUpstream, plain
from tests.workflows.shift.shifting import START, trace

from freehold.types.trace import Usage

PROMOTED = START + timedelta(days=1)
NOW = PROMOTED + timedelta(days=7)


class Incumbent:
    """Answers every chat request with `says`, and keeps what hooks post."""

    def __init__(self):
        self.says, self.seen, self.told = "refund", [], []
        self.upstream = FakeUpstream()
        self.upstream.answer = self.answer
        self.url = self.upstream.base_url

    def answer(self, asked):
        if asked.path == "/hook":
            self.told.append(asked.json)
            return plain({})
        self.seen.append(asked.json)
        message = {"role": "assistant", "content": self.says}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return plain({"choices": choices, "usage": usage})

    def close(self):
        self.upstream.close()


def week(store, number, *, answer="refund", n=40, **more):
    """A week of the candidate's traffic, and the moment after it."""
    end = PROMOTED + timedelta(days=7 * number)
    store.add_traces(
        trace(
            1000 * number + place,
            arm="candidate",
            share=1.0,
            answer=answer,
            at=end - timedelta(hours=place + 1),
            **{
                "usage": Usage(prompt_tokens=100, completion_tokens=10),
                "request": {"messages": [{"role": "user", "content": f"question {place:02d}"}]},
                **more,
            },
        )
        for place in range(n)
    )
    return end
