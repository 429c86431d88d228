import json
import signal
import subprocess
import sys
import urllib.request

import pytest

pytestmark = pytest.mark.process


def test_the_project_is_named_by_its_folder(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    command = [sys.executable, "-m", "freehold", "console", "--port", "0", "--config", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            url, _, token = address.partition("/#token=")
            headers = {"Authorization": f"Bearer {token}"}
            asked = urllib.request.Request(f"{url}/api/visitor", headers=headers)
            with urllib.request.urlopen(asked, timeout=20) as visitor:
                assert json.load(visitor)["role"] == "operate"
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def test_beyond_loopback_a_key_opens_it_and_no_address_with_a_token_is_told(freehold, refused, project):
    refused("console", "--host", "0.0.0.0", message="no key opens it", hint="--role read")
    freehold("keys", "add", "app")
    refused("console", "--host", "0.0.0.0", message="no key opens it")
    secret = freehold("keys", "add", "ops", "--role", "operate").out.strip()
    command = [sys.executable, "-m", "freehold", "console", "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=project
    ) as process:
        try:
            url = process.stdout.readline().strip()
            assert "token" not in url
            body = json.dumps({"key": secret}).encode()
            asked = urllib.request.Request(f"{url}/api/login", body, {"Origin": url})
            with urllib.request.urlopen(asked, timeout=20) as answer:
                assert json.load(answer)["role"] == "operate"
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0
