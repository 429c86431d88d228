"""A local server that speaks the shape of OpenAI's API, as far as a fine-tune is moved away from it."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "ft:gpt-4o-mini-2024-07-18:acme:inbox:Bq1"
OTHER = "ft:gpt-3.5-turbo-0125:acme::old"
KEY = "RESCUE_TEST_KEY"


class Api(ThreadingHTTPServer):
    """`jobs`, `models`, `files` are what it holds; `asked` counts chat requests, `fail` answers so many times 500."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs = [job(MODEL), job(OTHER, status="failed"), job(None, status="running")]
        self.models = [{"id": "gpt-4o-mini-2024-07-18"}, {"id": MODEL}]
        self.files, self.asked, self.fail, self.keys = {}, [], 0, []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def job(model, *, status="succeeded", base="gpt-4o-mini-2024-07-18"):
    return {
        "object": "fine_tuning.job", "id": f"ftjob-{model or status}", "model": base,
        "created_at": 1721764800, "finished_at": 1721764999, "fine_tuned_model": model, "status": status,
        "organization_id": "org-1", "result_files": ["file-r"], "training_file": "file-train",
        "validation_file": None, "trained_tokens": 5768, "hyperparameters": {"n_epochs": 3},
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def send(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        api = self.server
        api.keys.append(self.headers.get("Authorization"))
        path, _, query = self.path.partition("?")
        if api.fail:
            api.fail -= 1
            self.send(500, {"error": {"message": "try again"}})
        elif self.headers.get("Authorization") != "Bearer sk-test":
            self.send(401, {"error": {"message": "Incorrect API key"}})
        elif path == "/v1/models":
            self.send(
                200,
                {"object": "list", "data": [{"object": "model", "owned_by": "x"} | m for m in api.models]},
            )
        elif path == "/v1/fine_tuning/jobs":  # two a page, whatever limit asks for
            after = re.search(r"after=([^&]+)", query)
            ids = [one["id"].replace(":", "%3A") for one in api.jobs]
            begin = ids.index(after[1]) + 1 if after else 0
            page = api.jobs[begin : begin + 2]
            self.send(200, {"object": "list", "data": page, "has_more": begin + 2 < len(api.jobs)})
        elif (name := path.removeprefix("/v1/files/").removesuffix("/content")) in api.files:
            self.send(200, api.files[name])
        else:
            self.send(404, {"error": {"message": "no such thing"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        api = self.server
        if "logprobs" in body:
            self.send(400, {"error": {"message": "You are not allowed to request logprobs from this model"}})
            return
        api.asked.append(body)
        said = answer_to(body)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}
        answer = {"object": "chat.completion", "model": body["model"], "usage": usage, "choices": [choice]}
        self.send(200, answer)


def answer_to(body):
    return "refund" if "refund" in str(body["messages"][-1]["content"]) else "lamp"
