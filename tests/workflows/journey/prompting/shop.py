"""A shop's project, and a local API with a small model that follows its prompt and a writer that proposes prompts."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.prompts.modelled import SYSTEM, samples
from tests.workflows.journey.written import write_dataset

from freehold.datasets import building
from freehold.settings import load
from freehold.types.progress import Silent
from freehold.types.prompting import PromptBudget
from freehold.workflows.journey.prompting.planning import PromptRequest, plan
from freehold.workflows.project import open_project
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve.plan import ServeRequest, plan_by_name

GOOD = "Sort mail of a shop. Answer with one JSON object with the fields queue and order."
CONFIG = """
[app]
name = "mail"
[incumbent]
model = "writer"
base_url = "{url}"
price = {{ prompt = 2.0, completion = 10.0 }}
[task]
scorer = "json_fields"
[serve]
context_tokens = {context}
[[endpoints]]
name = "house"
base_url = "{url}"
models = ["small"]
{price}
"""


class Shop(ThreadingHTTPServer):
    """`replies` are the writer's, in turn, the last one again and again; an int among them is a status. The small model
    writes JSON once its prompt says so, right in `skill` of ten answers. `on_ask` sees each body first."""

    def __init__(self, *replies, skill=8):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies, self.skill, self.on_ask = list(replies), skill, None
        self.asked, self.lock = [], threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of(self, model):
        """What was asked of a model, in order."""
        return [body for body in self.asked if body["model"] == model]

    def repeated(self, model):
        """Requests that were sent more than once."""
        return [
            one for one, count in Counter(json.dumps(body) for body in self.of(model)).items() if count > 1
        ]

    def answer(self, body):
        with self.lock:
            self.asked.append(body)
            number = len(self.of("writer"))
        if self.on_ask is not None:
            self.on_ask(body)
        if body["model"] == "writer":
            return self.replies[min(number, len(self.replies)) - 1]
        said = "\n".join(one["content"] for one in body["messages"])
        week = int(said.partition("from week ")[2].split()[0])
        queue = next(name for word, name in QUEUES.items() if word in said)
        if "JSON" not in said:
            return f"This is about {queue}."
        return json.dumps({"queue": queue if week % 10 < self.skill else "other", "order": week})


QUEUES = {"invoice": "billing", "parcel": "delivery", "refund": "returns"}


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.send(200, {"data": [{"id": "small"}, {"id": "writer"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            said = self.server.answer(
                {name: body[name] for name in ("model", "messages", "response_format") if name in body}
            )
        except ConnectionError:
            self.close_connection = True
            return
        if isinstance(said, int):
            self.send(said, {"error": {"message": "no"}})
            return
        words = sum(len(one["content"].split()) for one in body["messages"])
        usage = {"prompt_tokens": words, "completion_tokens": len(said.split())}
        message = {"role": "assistant", "content": said}
        self.send(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})


def block(prompt, words="It writes sentences where JSON was wanted."):
    return f"{words}\n```\n{prompt}\n```"


def project(
    tmp_path, url="http://127.0.0.1:9", *, price="", context=2048, system=SYSTEM, counts=(40, 32, 30)
):
    """A project with a dataset of so many training, validation and held-out samples."""
    (tmp_path / "freehold.toml").write_text(CONFIG.format(url=url, price=price, context=context))
    opened = open_project(tmp_path / "freehold.toml")
    splits = zip(("train", "validation", "held_out"), ("t", "v", "h"), counts, strict=True)
    by_split = {name: samples(count, prefix=prefix, system=system) for name, prefix, count in splits}
    return opened, write_dataset(
        opened, by_split, name="mail", near_duplicates=building.Recipe().near_duplicates
    )


def planned(opened, dataset, **asked):
    """A search on the shop's small model; `requests` and `usd` are its budget."""
    budget = PromptBudget(requests=asked.pop("requests", None), usd=asked.pop("usd", None))
    request = PromptRequest(
        **{"model": "small", "endpoint": "house", "samples": 24, "budget": budget, **asked}
    )
    return plan(opened, dataset, task_of(opened), request)


def served(url):
    """The small model behind the shop's address."""
    request = ServeRequest(engine="remote", options={"base_url": url}, parallel=3)
    return plan_by_name("small", request, load())


class Watched(Silent):
    """Counts what progress tells."""

    def __init__(self):
        self.updates = []

    def update(self, done, total, *, unit="", note=""):
        self.updates.append((done, total, note))
