"""An exchange as a worker captures it."""

import json

from tests.gateway.loopback import ANSWER

from freehold.gateway.messages import CapturedExchange


def captured(text="mail ada@example.com"):
    return CapturedExchange(
        id="1",
        at_ms=1,
        kind="chat",
        model="m",
        request=json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode(),
        response=json.dumps(ANSWER).encode(),
        status=200,
        streamed=False,
        completeness="complete",
        user="ada@example.com",
        conversation_id="chat with ada@example.com",
    )
