"""A project with rare classes, and a local API whose model writes paraphrases and labels messages by a script."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.workflows.journey.written import write_dataset

from freehold.types.config import ParaphrasesConfig
from freehold.types.dataset import Message, Sample
from freehold.workflows.journey.paraphrasing.planning import plan
from freehold.workflows.project import open_project
from freehold.workflows.prove.task import task_of

CLASSES = ("card_lost", "pin_blocked", "top_up_failed")
WORDS = {
    "card_lost": "lost my card",
    "pin_blocked": "pin is blocked",
    "top_up_failed": "top up did not go through",
}
PLACES = ("the station", "a taxi", "my hotel", "the office", "a shop", "the airport", "a museum", "the beach")
CONFIG = """
[app]
name = "bank"
[incumbent]
model = "writer"
base_url = "{url}"
[task]
scorer = "label"
[[endpoints]]
name = "house"
base_url = "{url}"
models = ["writer"]
{price}
"""
PRICE = "price = { prompt = 2.0, completion = 10.0 }"


def one(label, number, prefix="t"):
    text = f"{WORDS[label]} at {PLACES[number % 8]}, this is the {number}th time and {prefix}"
    return Sample(id=f"{prefix}-{label}-{number}", messages=(Message(role="user", content=text),), gold=label)


def project(tmp_path, url="http://127.0.0.1:9", *, price=PRICE, counts=(4, 6, 30), near_duplicates=0.0):
    """A project whose three classes have so many training samples, and its dataset."""
    (tmp_path / "freehold.toml").write_text(CONFIG.format(url=url, price=price))
    opened = open_project(tmp_path / "freehold.toml")
    train = [one(label, n) for label, count in zip(CLASSES, counts, strict=True) for n in range(count)]
    held = {
        name: [one(label, n, name) for label in CLASSES for n in range(3)]
        for name in ("validation", "held_out")
    }
    made = write_dataset(opened, {"train": train, **held}, name="bank", near_duplicates=near_duplicates)
    return opened, made


def planned(opened, dataset, **asked):
    asked = {"endpoint": "house", "per_class": 10, "budget_requests": 100, **asked}
    return plan(opened, dataset, task_of(opened), ParaphrasesConfig(**asked))


class Writer(ThreadingHTTPServer):
    """`write(text, number)` gives what is written to the number-th request, `label(text)` the class of a message; an
    int is a status."""

    def __init__(self, write=None, label=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.write, self.label = write or fresh, label or true_label
        self.asked, self.lock, self.written = [], threading.Lock(), 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def label_requests(self):
        return len(self.asked) - self.written

    def answer(self, body):
        system, user = (message["content"] for message in body["messages"])
        with self.lock:
            self.asked.append(body)
            writes = system.startswith("Write")
            self.written += writes
            number = self.written
        if writes:
            return self.write(user, number)
        names = re.findall(r"^\d+\. (\S+)", system, re.MULTILINE)
        labels = [self.label(line) for line in user.splitlines()]
        return json.dumps([names.index(label) + 1 if label in names else 0 for label in labels])


def true_label(text):
    return next((label for label, words in WORDS.items() if words in text), "none")


def fresh(text, number):
    """Five new messages with the same words for what matters."""
    words = WORDS[true_label(text)]
    return json.dumps(
        [f"{number} {word}: {words} {word * 2} {number}" for word in ("oh", "hm", "so", "ah", "eh")]
    )


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = self.server.answer(body)
        if said is None:  # the line breaks
            self.close_connection = True
            return
        status, reply = (
            (said, {"error": {"message": "no"}}) if isinstance(said, int) else (200, _reply(body, said))
        )
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _reply(body, said):
    words = sum(len(message["content"].split()) for message in body["messages"])
    return {
        "choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": words, "completion_tokens": len(said.split())},
    }
