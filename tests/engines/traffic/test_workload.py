"""Request bodies: made up to a size, and taken from traces."""

import pytest

from freehold.engines.traffic import from_bodies, synthetic
from freehold.errors import UsageError

pytestmark = pytest.mark.anyio


async def test_made_up_prompts_share_what_they_should():
    workload = synthetic(prompt_tokens=10, shared_prefix_tokens=6, completion_tokens=3, count=20)
    texts = [body["messages"][0]["content"].split() for body in workload.bodies]
    assert len({tuple(words[:6]) for words in texts}) == 1
    assert len({tuple(words) for words in texts}) == 20
    with pytest.raises(UsageError):
        synthetic(prompt_tokens=5, shared_prefix_tokens=5, completion_tokens=1)


async def test_recorded_requests_keep_what_matters():
    asked = {"model": "gpt", "stream": True, "messages": [{"role": "user", "content": "x"}], "seed": 1}
    workload = from_bodies([asked, {"input": "embedding"}], about="a file", completion_tokens=9)
    assert workload.bodies == [{"messages": asked["messages"], "max_tokens": 9, "temperature": 0}]
    with pytest.raises(UsageError, match="no request with messages in a file"):
        from_bodies([{}], about="a file", completion_tokens=9)
