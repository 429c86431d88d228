"""A real incumbent on loopback, and weeks of a candidate's traffic."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

from tests.workflows.shift.shifting import START, trace

from freehold.types.trace import Usage

PROMOTED = START + timedelta(days=1)
NOW = PROMOTED + timedelta(days=7)


class Incumbent:
    """Answers every chat request with `says`, and keeps what hooks post."""

    def __init__(self):
        seen, told, me = [], [], self
        self.says = "refund"

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path == "/hook":
                    told.append(body)
                    answer = {}
                else:
                    seen.append(body)
                    message = {"role": "assistant", "content": me.says}
                    answer = {
                        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
                    }
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.seen, self.told = seen, told
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


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
