"""The attacker's requests are what it says, and a real engine outlives the short form of its attack."""

import json
import os
import random
import signal
import socket
import subprocess
import sys

import pytest
from benchmarks.gateway.hostile_requests import DOORS, attack, hostile

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_the_same_dice_throw_the_same_attack_and_every_door_is_tried():
    requests = [hostile(random.Random(number), MODEL) for number in range(300)]
    assert requests == [hostile(random.Random(number), MODEL) for number in range(300)]
    assert {door for door, _ in requests} == set(DOORS)
    assert any("grammar" in json.loads(body) for _, body in requests)


@pytest.mark.weights
def test_a_real_engine_outlives_hostile_requests(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Short answers, and more of them at once than the attackers can take.
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "x"\n[serve]\ncontext_tokens = 128\nparallel = 6\n'
    )
    command = [sys.executable, "-m", "freehold", "up", "--port", str(port), "--json"]
    serving = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, text=True)
    try:
        while not serving.stdout.readline().startswith("}"):
            assert serving.poll() is None
        told = attack(f"http://127.0.0.1:{port}", MODEL, 40, seed=7, process_id=serving.pid, say=False)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=60)
    assert told["engines_ended"] == 0 and told["requests"] == 40
    assert told["other_client_share"] >= 0.99
