"""Clients that ask while faults happen, and remember what came of each request."""

import http.client
import json
import random
import threading
import time
from typing import NamedTuple

from tests.faults.world import CHAT

_PAUSE_S = 0.01


class Outcome(NamedTuple):
    """One request: when it was sent (monotonic), how long its client waited, and its status or what broke."""

    sent_s: float
    waited_s: float
    status: int | str
    trace_id: str | None

    @property
    def is_answered(self):
        return self.status == 200


class Clients:
    """`count` threads that ask `port` until they are stopped, a third of the time for a stream.

    An answer counts as 200 when it came whole, with the end that its kind has. Every `long_every`-th question is of
    `long_bytes`, which hardly compress.
    """

    def __init__(self, port, *, seed, count=4, timeout_s=60.0, long_every=None, long_bytes=0):
        self._port = port
        self._timeout_s = timeout_s
        self._long = (long_every, long_bytes)
        self._stopping = threading.Event()
        self._lists = [[] for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._run, args=(seen, random.Random(f"{seed}/{number}")))
            for number, seen in enumerate(self._lists)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def outcomes(self):
        return sorted(one for seen in self._lists for one in tuple(seen))

    def all_asked_after(self, moment_s):
        """Whether each client has the outcome of a request that it sent later than that."""
        return all(seen and seen[-1].sent_s > moment_s for seen in self._lists)

    def _run(self, seen, drawn):
        number = 0
        while not self._stopping.is_set():
            number += 1
            every, size = self._long
            text = drawn.randbytes(size // 2).hex() if every and number % every == 0 else "hi"
            seen.append(self._ask(text, streamed=drawn.random() < 1 / 3))
            self._stopping.wait(_PAUSE_S)

    def _ask(self, text, *, streamed):
        body = json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": text}], "stream": streamed}
        ).encode()
        sent_s, trace_id = time.monotonic(), None
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        try:
            connection.request("POST", CHAT, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            trace_id = answer.headers["x-freehold-trace-id"]
            data = answer.read()
            status = answer.status
            if status == 200 and not _is_whole(data, streamed):
                status = "cut"
        except http.client.IncompleteRead:
            status = "cut"
        except TimeoutError:
            status = "timeout"
        except (OSError, http.client.HTTPException):
            status = "connection"
        finally:
            connection.close()
        return Outcome(sent_s, time.monotonic() - sent_s, status, trace_id)


def _is_whole(data, streamed):
    if streamed:
        return data.endswith(b"data: [DONE]\n\n")
    try:
        return "choices" in json.loads(data)
    except ValueError:
        return False
