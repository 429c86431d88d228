"""Runs inside the image, with nothing but its own Python: starts what it starts, asks it, tells how it was."""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "on its way"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
QUESTION = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is my order?"}]}
UPSTREAM_PORT = 9100


class Incumbent(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def asked(url, key=None, body=None):
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def can_write(folder):
    path = pathlib.Path(folder) / "probe"
    try:
        path.write_text("")
    except OSError:
        return False
    path.unlink()
    return True


def main():
    start, health = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    incumbent = http.server.ThreadingHTTPServer(("127.0.0.1", UPSTREAM_PORT), Incumbent)
    threading.Thread(target=incumbent.serve_forever, daemon=True).start()
    made = subprocess.run([start[0], "keys", "add", "app"], capture_output=True, text=True)
    key = made.stdout.strip()
    base = f"http://127.0.0.1:{os.environ['FREEHOLD_PORT']}"
    began = time.monotonic()
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while asked(f"{base}/health")[0] != 200 and process.poll() is None and time.monotonic() - began < 120:
        time.sleep(0.05)
    health_seconds = time.monotonic() - began
    status, body = asked(f"{base}/v1/chat/completions", key, QUESTION)
    answer_seconds = time.monotonic() - began
    told = {
        "keys": made.returncode,
        "health_seconds": health_seconds,
        "answer_seconds": answer_seconds,
        "status": status,
        "answer": json.loads(body)["choices"][0]["message"]["content"] if body else None,
        "without_key": asked(f"{base}/v1/chat/completions", None, QUESTION)[0],
        "health_check": subprocess.run(health).returncode,
        "user": [os.getuid(), os.getgid()],
        "writes": {
            folder: can_write(folder) for folder in ("/", "/opt/freehold", "/srv/freehold", "/etc", "/tmp")
        },
    }
    process.terminate()
    told["stderr"] = process.communicate(timeout=60)[1][-2000:]
    told["code"] = process.returncode
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
