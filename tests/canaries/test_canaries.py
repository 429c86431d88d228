"""Secrets planted everywhere they may lawfully be, then looked for everywhere else, on real processes.

The one place for each: an upstream's key is in the environment of the processes that ask it, and of those that start
them, and in the requests to that upstream; a key of the gateway is with its client (the store has its hash); what a
client sends goes to the upstream; an unrelated variable of the environment, and a database's password, stay with the
command that was given them. And of a user whose files others may read by default, what is left is not for others.
"""

import contextlib
import http.client
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import sqlalchemy
import zstandard
from tests.workflows.journey import rehearsal

from freehold.processes import claim_port

pytestmark = pytest.mark.process

UPSTREAM_KEY = "sk-cnryupstream7Qm2Xv9Lt4Rb8Kd1"
UNRELATED = "cnry-unrelated-5Zt8Wq3Np6"
BODY = "sk-cnrybody4Hn7Jk2Pf9Ys6Wd3Qz"
MAIL = "cnry.body.mail@example.com"
HEADER = "cnry-header-8Lr5Vc2Xm7"
QUERY = "cnry-query-3Bg6Tf9Ra1"
FOREIGN_KEY = "cnry-foreignkey-2Dw4Su8Ko5"
DATABASE_PASSWORD = "cnry-database-9Ud4Ye7Pm2"
PLANTED = (UPSTREAM_KEY, UNRELATED, BODY, MAIL, HEADER, QUERY, FOREIGN_KEY, DATABASE_PASSWORD)
DOORS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": f"{BODY} {MAIL}"}]},
    "/v1/completions": {"prompt": f"{BODY} {MAIL}"},
    "/v1/embeddings": {"input": f"{BODY} {MAIL}"},
    "/v1/responses": {"input": f"{BODY} {MAIL}"},
    "/v1/messages": {"max_tokens": 5, "messages": [{"role": "user", "content": f"{BODY} {MAIL}"}]},
    "/nowhere": {"x": BODY},
}
COMMANDS = (
    ("keys", "list"),
    ("routes", "list"),
    ("traces", "list"),
    ("traces", "export", "out.jsonl"),  # so that words are looked for in what the store has compressed
    ("traces", "show", "none"),
    ("settings",),
    ("rollout", "status"),
    ("report",),
    ("watch", "--once"),
    ("dataset", "build"),
)
UMASK = 0o022
FOR_OTHERS = {
    "home/weights": "pulled weights are public, and several users of a machine may share them",
    "project/freehold.toml": "the project's own file, in its repository",
    "project/traffic.jsonl": "the user's own",
    "project/papers": "what a licence asks to be handed on, written where the user said",
    "project/cost.html": "a page to hand round, without customers' words",
}
"""Paths that other users may read, each with its reason, under folders that are the user's own."""
KNOWS_THE_UPSTREAMS_KEY = ("freehold up", "freehold.gateway.serve", "freehold.gateway.worker")
FAILURES = ("fine", "500", "401", "closes", "no JSON", "cut")
SAID = {"role": "assistant", "content": "ok"}
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "model": "m",
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
}


class Upstream(BaseHTTPRequestHandler):
    """Fails as `mode` says. Spans for a collector come here too, and are kept."""

    mode = "fine"
    asked: list[str] = []
    spans: list[bytes] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.endswith("/v1/traces"):
            self.spans.append(data)
            return self._say(200, b"")
        self.asked.append(str(self.headers))
        match self.mode:
            case "500" | "401":
                return self._say(int(self.mode), b'{"error": {"message": "no"}}')
            case "closes":
                self.close_connection = True
            case "no JSON":
                return self._say(200, b"<html>")
            case "cut":
                self.send_response(200)
                self.send_header("content-length", "1000")
                self.end_headers()
                self.wfile.write(b'{"id": ')
                self.close_connection = True
            case _:
                return self._say(200, json.dumps(ANSWER).encode())
        return None

    def _say(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class World:
    """A project, its environment, and what was said anywhere."""

    def __init__(self, root, upstream, capture, database=None):
        self.database = database
        self.project, self.home, self.temporary = root / "project", root / "home", root / "tmp"
        for folder in (self.project, self.home, self.temporary):
            folder.mkdir()
        (self.project / "freehold.toml").write_text(
            f'[app]\nname = "shop"\n[serve]\nengine = "echo"\n[capture]\nmode = "{capture}"\n'
            f'[incumbent]\nmodel = "m"\nbase_url = "http://127.0.0.1:{upstream}"\napi_key_env = "SHOP_KEY"\n'
        )
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("FREEHOLD_", "OTEL_"))
            },
            "SHOP_KEY": UPSTREAM_KEY,
            **dict.fromkeys(("SHOP_PASSWORD", "OTHER_KEY"), UNRELATED),
            **({} if database else {"PGPASSWORD": UNRELATED}),  # what opens PostgreSQL is given it
            "FREEHOLD_HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "FREEHOLD_LOG_REQUESTS": "true",
            "FREEHOLD_OTEL": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{upstream}",
            **({"FREEHOLD_DATABASE_URL": database} if database else {}),
        }
        self.said = []

    def freehold(self, *words, ends=None, **more):
        done = subprocess.run(
            [sys.executable, "-m", "freehold", *words], cwd=self.project, env={**self.environment, **more},
            capture_output=True, timeout=300, check=False, umask=UMASK,
        )  # fmt: skip
        assert ends is None or done.returncode == ends, (words, done.stderr)
        self.said.append((f"freehold {' '.join(words)}", done.stdout + done.stderr))
        return done.stdout.decode()

    @contextlib.contextmanager
    def up(self, key, log):
        """The gateway of ``freehold up``, once it knows the key: its port and its process."""
        port = claim_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "freehold", "up", "--model", "mine", "--port", str(port)],
                cwd=self.project, env=self.environment, stdout=output, stderr=output, umask=UMASK,
            )  # fmt: skip
        try:
            _await_ready(port, process, key)
            yield port, process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)

    def files(self):
        """Every file of the project, of freehold's own folder, and of the run folder."""
        for folder in (self.project, self.home, self.temporary):
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    with contextlib.suppress(OSError):
                        yield str(path), path.read_bytes()

    def hits(self, secrets):
        places = [*self.said, *self.files(), *(("a span", span) for span in Upstream.spans), *self.rows()]
        return [(name, secret) for name, data in places for secret in secrets if secret.encode() in data]

    def rows(self):
        """Every row of a database server, bodies unpacked as far as they are compressed."""
        if self.database is None:
            return
        engine = sqlalchemy.create_engine(self.database)
        with engine.connect() as connection:
            for table in sqlalchemy.inspect(engine).get_table_names():
                for row in connection.execute(sqlalchemy.text(f'SELECT * FROM "{table}"')):
                    yield f"{table} {row[0]}", repr(tuple(map(_plain, row))).encode()
        engine.dispose()


def _plain(value):
    """A value as it would be read by somebody who knows what compressed it."""
    if isinstance(value, bytes | memoryview):
        at = bytes(value).find(b"\x28\xb5\x2f\xfd")
        if at >= 0:
            return zstandard.ZstdDecompressor().decompressobj().decompress(bytes(value)[at:])
        return bytes(value)
    return value


def ask(port, door, body, *, key, stream):
    """One request with a secret in every part; what came back, with its head."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-mine": HEADER,
               "cookie": f"session={HEADER}", "x-goog-api-key": HEADER, "openai-organization": HEADER}  # fmt: skip
    try:
        connection.request("POST", f"{door}?api_key={QUERY}", json.dumps({**body, "stream": stream}), headers)
        answer = connection.getresponse()
        return f"{answer.status} {answer.headers}".encode() + answer.read()
    except (OSError, http.client.HTTPException) as error:
        return repr(error).encode()
    finally:
        connection.close()


@pytest.fixture
def postgres():
    """A database of its own and the address with the password of its owner."""
    server = os.environ.get("FREEHOLD_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("FREEHOLD_TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"freehold_test_{secrets.token_hex(6)}"
    address = sqlalchemy.make_url(server).set(drivername="postgresql+psycopg")
    admin = sqlalchemy.create_engine(address, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE ROLE {name} LOGIN PASSWORD '{DATABASE_PASSWORD}'"))
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name} OWNER {name}"))
    yield address.set(database=name, username=name, password=DATABASE_PASSWORD).render_as_string(
        hide_password=False
    )
    with admin.connect() as connection:
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.execute(sqlalchemy.text(f"DROP ROLE {name}"))
    admin.dispose()


@pytest.mark.timeout(300)
def test_no_secret_is_found_outside_its_place(tmp_path, upstream):
    _look_everywhere(World(tmp_path, upstream, "patterns"), tmp_path)


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_no_secret_is_found_in_a_database_server_or_outside_its_place(tmp_path, upstream, postgres):
    world = World(tmp_path, upstream, "patterns", postgres)
    _look_everywhere(world, tmp_path)
    assert any(name.startswith("trace_blocks ") and b"messages" in row for name, row in list(world.rows()))


def _look_everywhere(world, tmp_path):
    Upstream.asked, Upstream.spans = [], []
    made = json.loads(world.freehold("keys", "add", "till", "--json"))
    key = made["secret"]
    world.said.clear()  # where a key is told: once, when it is made
    planted = (*PLANTED, key)
    with world.up(key, tmp_path / "up.log") as (port, process):
        for mode in FAILURES:
            Upstream.mode = mode
            for door, body in DOORS.items():
                for model in ("m", "mine", f"no-such-{mode}"):
                    said = ask(port, door, {**body, "model": model}, key=key, stream=mode == "cut")
                    if not (model == "mine" and b"200" in said[:4]):  # the echo engine says what it was asked
                        world.said.append((f"{mode} {door} {model}", said))
        for wrong in (FOREIGN_KEY, ""):
            said = ask(port, "/v1/chat/completions", {"model": "m"}, key=wrong, stream=False)
            world.said.append(("a wrong key", said))
        for door in ("/metrics", "/health", "/ready", "/v1/models", "/"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"{door}?k={QUERY}", headers={"authorization": f"Bearer {key}"})
            world.said.append((door, connection.getresponse().read()))
            connection.close()
        # So long that it is read in a process of its own.
        long = {"model": "m", "messages": [{"role": "user", "content": f"{BODY} " + "x " * 300_000}]}
        world.said.append(("long", ask(port, "/v1/chat/completions", long, key=key, stream=False)))
        time.sleep(3)  # traces, spans and logs are written about once a second
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        world.said += [(f"argv of {one.pid}", " ".join(one.cmdline()).encode()) for one in family]
        environments = {" ".join(one.cmdline()): str(one.environ()) for one in family}
        # The run folder, gone when the gateway has ended.
        world.said += [(name, data) for name, data in world.files() if str(world.temporary) in name]
        for words in COMMANDS:
            world.freehold(*words)
    world.said.append(("up", (tmp_path / "up.log").read_bytes()))
    assert len(Upstream.asked) > 10 and Upstream.spans  # a breaker spares it the rest
    assert all(UPSTREAM_KEY in head and key not in head for head in Upstream.asked)
    assert (world.project / "out.jsonl").stat().st_size > 0
    assert world.hits(planted) == []
    _check_environments(environments, planted)


def _check_environments(environments, planted):
    """The command has what it was given; what it started has what it needs."""
    modules = ("gateway.serve", "gateway.worker", "capture.recorder", "shift.observer", "bounded.nursery")
    assert [m for m in modules if not any(m in command for command in environments)] == []
    knowing = {
        (command, secret)
        for command, environment in environments.items()
        for secret in planted
        if secret in environment and "freehold up" not in command
    }
    assert {secret for _, secret in knowing} == {UPSTREAM_KEY}, knowing
    assert all(any(module in command for module in KNOWS_THE_UPSTREAMS_KEY) for command, _ in knowing)


def _await_ready(port, process, key):
    """Wait until the key is known: until then all are refused with 503."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise AssertionError("the gateway did not start")


def readable(folder):
    """Files and folders that others may read or enter and that are not meant for them, by their place."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        meant = place in ("project", "home", "tmp") or any(
            place == one or place.startswith(f"{one}/") for one in FOR_OTHERS
        )
        if not (path.is_symlink() or meant) and stat.S_IMODE(path.lstat().st_mode) & 0o077:
            yield place


@pytest.mark.timeout(600)
def test_no_file_of_a_journey_is_for_others_and_no_page_of_it_holds_a_secret(tmp_path):
    before = os.umask(UMASK)
    try:
        world = World(tmp_path, 1, "off")
        rehearsal.project(world.project)
    finally:
        os.umask(before)
    config = world.project / "freehold.toml"
    config.write_text(
        config.read_text().replace(
            'model = "rented-1"',
            'model = "rented-1"\nbase_url = "http://127.0.0.1:1"\napi_key_env = "SHOP_KEY"',
        )
        + '[capture]\nmode = "patterns"\n'
    )
    traffic = world.project / "traffic.jsonl"
    traffic.write_text(traffic.read_text().replace("about a", f"of {MAIL}, whose key is {BODY}, about a"))
    assert "verdict" in world.freehold("migrate", "--no-serve")
    key = json.loads(world.freehold("keys", "add", "till", "--json", ends=0))["secret"]
    with world.up(key, Path(os.devnull)) as (port, _):
        body = {"model": "mine", "messages": [{"role": "user", "content": "where is the lamp?"}]}
        assert b"200" in ask(port, "/v1/chat/completions", body, key=key, stream=False)[:4]
        time.sleep(1.0)
        found = {*readable(tmp_path)}
        world.freehold("store", "backup", ends=0)
        world.freehold("traces", "export", "out.jsonl", ends=0)
        world.freehold("dataset", "build", ends=0)
        world.freehold("report", ends=0)
        world.freehold("license", "comply", rehearsal.MODEL, "--out", "papers", ends=0)
    assert found | {*readable(tmp_path)} == set()
    state = world.project / ".freehold"
    kinds = {path.relative_to(state).parts[0] for path in state.rglob("*") if path.is_file()}
    assert kinds >= {"datasets", "reports", "engines", "backups", "evaluations", "keys.json"}
    assert (world.project / "out.jsonl").stat().st_size
    assert stat.S_IMODE((world.project / "papers" / "CHECKLIST.md").stat().st_mode) == 0o644
    pages = [(name, data) for name, data in world.files() if "/reports/" in name]
    assert any(b"about a" in data for name, data in pages if name.endswith(".html")), "it shows samples"
    assert [name for name, data in pages for secret in PLANTED if secret.encode() in data] == []
    assert world.hits((UPSTREAM_KEY, UNRELATED)) == []


@pytest.mark.parametrize("words", [("traces", "list"), ("up", "--model", "mine")], ids=" ".join)
def test_a_database_that_is_not_there_is_told_without_its_password(tmp_path, words):
    pytest.importorskip("psycopg")
    world = World(tmp_path, 1, "off")
    password = "cnry-database-6Jx3"
    url = f"postgresql+psycopg://shop:{password}@127.0.0.1:1/db"
    world.freehold(*words, FREEHOLD_DATABASE_URL=url)
    assert world.said[0][1].startswith(b"error: ")
    assert world.hits((password,)) == []
