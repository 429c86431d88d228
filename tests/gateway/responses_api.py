"""A host that has OpenAI's Responses API with its state: what was stored can be fetched, followed, deleted."""

import itertools
import json

from aiohttp import web

NOT_FOUND = "previous_response_not_found"


def error(status, message, *, param=None, code=None):
    body = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return web.json_response({"error": body}, status=status)


class ResponsesApi:
    """To be the `answer` of a `FakeUpstream`. `chat` answers what else is asked."""

    def __init__(self, chat):
        self.kept = {}
        self.asked = []
        self._chat = chat
        self._numbers = itertools.count(1)

    def __call__(self, seen):
        async def respond(request):
            parts = request.path.removeprefix("/v1").removeprefix("/openai").strip("/").split("/")
            if parts[0] != "responses":
                return await self._chat(seen)(request)
            self.asked.append((request.method, request.path_qs, seen.body, seen.headers))
            if len(parts) == 1:
                return await self._create(request, json.loads(seen.body))
            if request.method == "POST" and parts[1] in ("input_tokens", "compact"):
                return web.json_response(
                    {"object": f"response.{parts[1]}", "id": "x", "input_tokens": 7, "output": []}
                )
            return self._stored(request, parts)

        return respond

    async def _create(self, request, asked):
        if "model" not in asked:
            return error(
                400, "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
            )
        previous = asked.get("previous_response_id")
        if previous is not None and previous not in self.kept:
            return error(
                400,
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id",
                code=NOT_FOUND,
            )
        number = next(self._numbers)
        said = {
            "id": f"resp_{number:048x}",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": asked["model"],
            "output": [
                {
                    "id": f"msg_{number:048x}",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "from the host", "annotations": []}],
                }
            ],
            "tools": asked.get("tools") or [],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "store": asked.get("store", True),
            "previous_response_id": previous,
            "metadata": {"asked": ",".join(sorted(asked))},
            "usage": {
                "input_tokens": 4,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 2,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 6,
            },
        }
        if said["store"]:
            self.kept[said["id"]] = said
        if not asked.get("stream"):
            return web.json_response(said)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number, (kind, more) in enumerate(
            (
                ("response.created", {"response": {**said, "status": "in_progress", "output": []}}),
                (
                    "response.output_text.delta",
                    {
                        "item_id": "msg",
                        "output_index": 0,
                        "content_index": 0,
                        "delta": "from the host",
                        "logprobs": [],
                    },
                ),
                ("response.completed", {"response": said}),
            )
        ):
            event = json.dumps({"type": kind, "sequence_number": number, **more})
            await response.write(f"event: {kind}\ndata: {event}\n\n".encode())
        await response.write_eof()
        return response

    def _stored(self, request, parts):
        if parts[1] not in self.kept:
            return error(404, f"Response with id '{parts[1]}' not found.")
        if request.method == "DELETE":
            del self.kept[parts[1]]
            return web.json_response({"id": parts[1], "object": "response", "deleted": True})
        if parts[-1] == "input_items":
            return web.json_response({"object": "list", "data": [], "has_more": False})
        return web.json_response(self.kept[parts[1]])
