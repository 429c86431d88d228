"""A journey of a user whose files others may read by default: what freehold leaves anywhere is not for others."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from tests.gateway.asking import post
from tests.workflows.journey import rehearsal

from freehold.gateway.serve import free_port

pytestmark = pytest.mark.process
UMASK = 0o022

FOR_OTHERS = {
    "home/weights": "pulled weights are public, and several users of a machine may share them",
    "project/freehold.toml": "the project's own file, in its repository",
    "project/traffic.jsonl": "the user's own",
    "project/papers": "what a licence asks to be handed on, written where the user said",
    "project/cost.html": "a page to hand round, without customers' words",
}
"""Paths that other users may read, each with its reason."""


def run(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "freehold", *words], cwd=folder / "project", env=environment(folder), umask=UMASK,
        capture_output=True, timeout=300, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == code, (words, done.stderr)
    return done.stdout


def environment(folder):
    names = ("FREEHOLD_HOME", "TMPDIR")
    places = {name: str(folder / place) for name, place in zip(names, ("home", "tmp"), strict=True)}
    return {**os.environ, **places, "FREEHOLD_LOG_REQUESTS": "true"}


def readable(folder):
    """Files and folders that others may read or enter, by their place."""
    for path in sorted(folder.rglob("*")):
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077:
            yield path.relative_to(folder).as_posix()


def is_for_others(place):
    return place in ("project", "home", "tmp") or any(
        place == one or place.startswith(f"{one}/") for one in FOR_OTHERS
    )


@pytest.mark.timeout(300)
def test_no_file_of_a_journey_is_for_others(tmp_path):
    before = os.umask(UMASK)
    try:
        for name in ("project", "home", "tmp"):
            (tmp_path / name).mkdir()
        rehearsal.project(tmp_path / "project")
    finally:
        os.umask(before)
    file = tmp_path / "project" / "freehold.toml"
    file.write_text(file.read_text() + '[capture]\nmode = "patterns"\n[curate]\npersonal_data = "patterns"\n')
    run(tmp_path, "migrate", "--no-serve")
    key = json.loads(run(tmp_path, "keys", "add", "till", "--json"))["secret"]
    port = free_port()
    command = [sys.executable, "-m", "freehold", "up", "--model", "mine", "--port", str(port)]
    up = subprocess.Popen(
        command, cwd=tmp_path / "project", env=environment(tmp_path),
        umask=UMASK, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _ask(port, key)
        seen_running = list(readable(tmp_path))
        run(tmp_path, "store", "backup")
        run(tmp_path, "traces", "export", "out.jsonl")
        run(tmp_path, "dataset", "build")
        run(tmp_path, "report")
        run(tmp_path, "license", "comply", rehearsal.MODEL, "--out", "papers")
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)
    found = {place for place in (*seen_running, *readable(tmp_path)) if not is_for_others(place)}
    assert found == set()
    state = tmp_path / "project" / ".freehold"
    kinds = {path.relative_to(state).parts[0] for path in state.rglob("*") if path.is_file()}
    assert kinds >= {"datasets", "reports", "engines", "backups", "evaluations", "keys.json"}, (
        "there was something"
    )
    assert (tmp_path / "project" / "out.jsonl").stat().st_size
    handed = tmp_path / "project" / "papers" / "CHECKLIST.md"
    assert stat.S_IMODE(handed.stat().st_mode) == 0o644


def _ask(port, key):
    class Running:
        base_url = f"http://127.0.0.1:{port}"

    deadline = time.monotonic() + 60
    body = {"model": "mine", "messages": [{"role": "user", "content": "where is the lamp?"}]}
    while True:
        try:
            if post(Running, body, headers={"authorization": f"Bearer {key}"})[0] == 200:
                break
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1.0)
