"""nginx and Caddy, really running, with a site that a test gives them."""

import contextlib
import os
import shutil
import subprocess

import pytest
from tests.gateway.loopback import eventually

NAME = "localhost"


def replaced(text, changes):
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(folder, site):
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    config.write_text(
        f"{user}daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{site} }}"
    )
    command = ["nginx", "-p", str(folder), "-c", str(config)]
    return command, [*command, "-t"]


def caddy(folder, site):
    config = folder / "Caddyfile"
    config.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + site)
    words = ["--config", str(config), "--adapter", "caddyfile"]
    return ["caddy", "run", *words], ["caddy", "validate", *words]


PROGRAMS = {"nginx": nginx, "caddy": caddy}


def require(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@contextlib.contextmanager
def proxy(program, folder, site, client):
    """The program in front, once `client` has an answer of ``/health`` through it."""
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    command, check = PROGRAMS[program](folder, site)
    checked = subprocess.run(check, env=environment, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    log = folder / "proxy.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, env=environment)

    def answers():
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(Exception):
            return client.get("/health").status_code == 200

    try:
        eventually(answers)
        yield process
    finally:
        process.terminate()
        process.wait(20)
