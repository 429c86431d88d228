import signal
import subprocess
import sys
import urllib.request

import pytest


@pytest.mark.parametrize("name", ["freehold.toml", ""], ids=["file", "folder"])
def test_the_project_is_named_by_its_file_or_its_folder(tmp_path, name):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    command = [sys.executable, "-m", "freehold", "console", "--port", "0", "--config", str(tmp_path / name)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            assert "?token=" in address
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(address, timeout=20) as page:
                assert page.status == 200
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def test_a_project_that_is_not_there_is_named(tmp_path):
    command = [sys.executable, "-m", "freehold", "console", "--config", str(tmp_path / "gone")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert f"{tmp_path / 'gone'}: no such file" in ended.stderr
