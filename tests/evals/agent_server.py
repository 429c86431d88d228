"""A model API on loopback that plays an agent: as it was recorded, or as a test wants it to be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from tests.evals import agent_log

Reply = Callable[[dict[str, Any]], dict[str, Any]]


def key(messages: list[dict[str, Any]]) -> str:
    """A conversation so far, whatever the ids of its calls."""
    return json.dumps(
        [
            (
                one["role"],
                one.get("content"),
                [(c["function"]["name"], c["function"]["arguments"]) for c in one.get("tool_calls") or []],
            )
            for one in messages
        ]
    )


def recorded(sessions: int) -> Reply:
    """Answers as the log's assistant did; words to what the log has not."""
    answers = {
        key(one["request"]["messages"]): one["response"]["choices"][0]["message"]
        for one in agent_log.records(sessions)
    }
    return lambda body: answers.get(key(body["messages"]), {"role": "assistant", "content": "I see."})


@contextmanager
def agent(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server that answers so, and the requests it has seen."""
    seen: list[dict[str, Any]] = []
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                seen.append(body)
            message = reply(body)
            data = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
