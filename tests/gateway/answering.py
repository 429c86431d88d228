"""A model's endpoint as a process of its own, so that it can be killed: ``python answering.py PORT NAME``.

The candidate is sure of even numbers, and of odd ones not.
"""

import asyncio
import json
import sys

from aiohttp import web

PAUSE_S = 0.01


def answer_of(name: str, question: str) -> tuple[str, float]:
    """What it says, and how sure it is."""
    sure = name == "incumbent" or int(question) % 2 == 0
    return f"{name if sure else 'rejected'} says {question}", -0.1 if sure else -5.0


async def respond(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    text, logprob = answer_of(request.app["name"], asked["messages"][-1]["content"])
    head = {"id": f"{text} id", "created": 1, "model": request.app["name"]}
    tokens = [{"token": word, "logprob": logprob, "bytes": None} for word in text.split(" ")]
    told = bool(asked.get("logprobs"))
    await asyncio.sleep(PAUSE_S)
    if not asked.get("stream"):
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": tokens} if told else None,
            "finish_reason": "stop",
        }
        return web.json_response({**head, "object": "chat.completion", "choices": [choice]})
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for place, token in enumerate(tokens):
        delta = {"content": token["token"] if not place else f" {token['token']}"}
        choice = {"index": 0, "delta": delta, "logprobs": {"content": [token]} if told else None}
        await response.write(_event({**head, "choices": [{**choice, "finish_reason": None}]}))
        await asyncio.sleep(PAUSE_S)
    await response.write(_event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    await response.write(b"data: [DONE]\n\n")
    return response


def _event(body: dict) -> bytes:
    return b"data: " + json.dumps({**body, "object": "chat.completion.chunk"}).encode() + b"\n\n"


if __name__ == "__main__":
    app = web.Application()
    app["name"] = sys.argv[2]
    app.router.add_post("/v1/chat/completions", respond)
    app.router.add_get("/v1/models", lambda request: web.json_response({"data": []}))
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
