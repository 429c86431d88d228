"""How long from the start of the gateway, as its image starts it, to the first answered request.

    python -m benchmarks.cold_start                                   this environment's freehold, the gateway alone
    python -m benchmarks.cold_start --root FOLDER                     an image's root, as a container (bubblewrap)
    python -m benchmarks.cold_start --models HuggingFaceTB/SmolLM2-135M-Instruct ./encoder --home FOLDER

An image's root is what `buildah mount` or `podman image mount` names; that needs root on this machine. `--home` is the
folder of weights, filled before (`freehold models pull`): nothing is fetched at a start. Each repeat has a state folder
of its own with one key in it, which the time does not count. Clock and processor time are told: that of all processes
until the last answer.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[1]
MOST_S = 300.0
CONFIG = """
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:{port}/v1"
"""
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


class ColdStart(NamedTuple):
    """Seconds from the start to the first 200 of ``/health`` and to the first answer of each model, in the order of the
    models; processor seconds of all processes; the machine's load before."""

    health_s: float
    answers_s: tuple[float, ...]
    cpu_s: float
    load: float


class Incumbent(http.server.BaseHTTPRequestHandler):
    """A rented model that answers at once."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        pass


@contextlib.contextmanager
def incumbent() -> Iterator[int]:
    """The port at which it answers."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Incumbent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()


def image_settings() -> dict[str, str]:
    """What the Containerfile says by ENV."""
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    (line,) = [one for one in re.findall(r"^ENV (.+)$", text, re.MULTILINE) if "FREEHOLD_HOME" in one]
    return dict(word.split("=", 1) for word in line.split())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Place(NamedTuple):
    """Where freehold runs: in an image's root, or in this environment (`root` is None)."""

    root: Path | None
    folder: Path
    home: Path
    port: int

    def command(self, *words: str) -> list[str]:
        if self.root is None:
            return [sys.executable, "-m", "freehold", *words]
        binds = [
            *(
                "--bind",
                f"{self.folder}/state",
                "/srv/freehold/.freehold",
                "--bind",
                str(self.home),
                "/var/lib/freehold",
            ),
            *("--ro-bind", str(self.folder / "config"), "/etc/freehold", "--tmpfs", "/tmp"),  # noqa: S108
        ]
        settings = {**image_settings(), "FREEHOLD_HOST": "127.0.0.1", "FREEHOLD_PORT": str(self.port)}
        variables = [word for name, value in settings.items() for word in ("--setenv", name, value)]
        return [
            *(
                "bwrap",
                "--ro-bind",
                str(self.root),
                "/",
                "--dev",
                "/dev",
                "--proc",
                "/proc",
                *binds,
                "--unshare-user",
            ),
            *(
                "--unshare-pid",
                "--uid",
                "1000",
                "--gid",
                "1000",
                "--cap-drop",
                "ALL",
                "--die-with-parent",
                "--clearenv",
            ),
            *(
                *variables,
                "--setenv",
                "HOME",
                "/var/lib/freehold",
                "--chdir",
                "/srv/freehold",
                "freehold",
                *words,
            ),
        ]

    def config(self) -> str:
        return "/etc/freehold/freehold.toml" if self.root else str(self.folder / "config" / "freehold.toml")

    def environment(self) -> dict[str, str]:
        own = {
            "FREEHOLD_STATE": str(self.folder / "state"),
            "FREEHOLD_HOME": str(self.home),
            "FREEHOLD_OFFLINE": "true",
            "FREEHOLD_PORT": str(self.port),
        }
        return {**os.environ, **(own if self.root is None else {})}


def answered(url: str, key: str | None = None, model: str | None = None) -> bool:
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Where is my order?"}]}
    data = None if model is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310 (an address of this machine)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def measured(place: Place, models: list[str]) -> ColdStart:
    """One start. Raises `RuntimeError` where it ends before it answers."""
    made = subprocess.run(
        place.command("keys", "add", "app"),
        env=place.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    words = ["serve", *models] if models else ["up", "--no-engine"]
    base = f"http://127.0.0.1:{place.port}"
    load = os.getloadavg()[0]
    began = time.perf_counter()
    with (place.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            place.command(*words, "--config", place.config()), env=place.environment(), stdout=log, stderr=log
        )
    try:
        wait_for(process, place, f"{base}/health", began)
        health_s = time.perf_counter() - began
        answers = []
        for model in names_of(base, made.stdout.strip()) if models else ["gpt-4o"]:
            wait_for(process, place, f"{base}/v1/chat/completions", began, made.stdout.strip(), model)
            answers.append(time.perf_counter() - began)
        cpu_s = processor_s(process.pid)
    finally:
        process.terminate()
        process.wait(60)
    return ColdStart(health_s, tuple(answers), cpu_s, load)


def processor_s(pid: int) -> float:
    """Of a process and its descendants, those included that have ended."""
    whole = 0.0
    for one in (process := psutil.Process(pid), *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = one.cpu_times()
            whole += times.user + times.system + times.children_user + times.children_system
    return whole


def names_of(base: str, key: str) -> list[str]:
    """The models that the gateway lists."""
    request = urllib.request.Request(f"{base}/v1/models", headers={"authorization": f"Bearer {key}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return [one["id"] for one in json.load(answer)["data"]]


def wait_for(
    process: subprocess.Popen[bytes],
    place: Place,
    url: str,
    began: float,
    key: str | None = None,
    model: str | None = None,
) -> None:  # the parameters are what a request takes, and when to give up
    while not answered(url, key, model):
        if process.poll() is not None or time.perf_counter() - began > MOST_S:
            raise RuntimeError((place.folder / "log").read_text()[-3000:])
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="the root of an image")
    parser.add_argument("--models", nargs="*", default=[], help="what to serve; none: the gateway alone")
    parser.add_argument("--home", type=Path, help="the folder of weights (FREEHOLD_HOME)")
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    found = []
    with incumbent() as upstream:
        for _ in range(asked.repeat):
            folder = Path(tempfile.mkdtemp(prefix="cold-"))
            for name in ("state", "config", "home"):
                (folder / name).mkdir()
            (folder / "config" / "freehold.toml").write_text(CONFIG.format(port=upstream))
            place = Place(asked.root, folder, (asked.home or folder / "home").resolve(), free_port())
            one = measured(place, asked.models)
            answers = ", ".join(f"{each:.2f}" for each in one.answers_s)
            print(
                f"health {one.health_s:.2f} s, answers {answers} s, processor {one.cpu_s:.2f} s, load {one.load:.1f}"
            )
            found.append(one)
            shutil.rmtree(folder, ignore_errors=True)
    last = [one.answers_s[-1] for one in found]
    cpu = statistics.median(one.cpu_s for one in found)
    print(f"median {statistics.median(last):.2f} s, {cpu:.2f} s of processor time")


if __name__ == "__main__":
    main()
