"""A file that changes while the gateway runs: what is told, what is taken over, what is left."""

import os
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import psutil
import pytest
from tests.workflows.shift.shifting import begun, mirrored

from freehold.errors import StorageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry.meters import leave_word, read_all
from freehold.store import audit, default_url, open_store
from freehold.types.config import ProjectConfig, ServeConfig
from freehold.types.config_file import parse
from freehold.types.route import Route, Target
from freehold.workflows.project import open_project
from freehold.workflows.shift import following, up
from freehold.workflows.shift.following import (
    KEYS,
    ConfigFollower,
    ObserverConfig,
    ObserverProcess,
    environment_of,
)

HEAD = '[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
CAPTURE = '[capture]\nmode = "patterns"\n'
OTHER = '[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:2"\n'


class Following:
    def __init__(self, folder):
        self.path = folder / "freehold.toml"
        self.path.write_text(HEAD + CAPTURE)
        self.told = []
        self.ticks = 0
        project = open_project(self.path)

        def build(changed):
            return up._gateway_config(changed, up.Listening(port=8420), None)

        self.start = build(project)
        options = {"[serve] port": "--port"}
        self.follower = ConfigFollower(
            project, self.start, build=build, options=options, say=self.told.append
        )
        self.url = project.store_url

    def save(self, text):
        self.path.write_text(text)
        self.ticks += 1
        os.utime(self.path, ns=(self.ticks * 10**9, self.ticks * 10**9))
        assert self.follower.poll() is None  # it may still be written
        return self.follower.poll()


@pytest.fixture
def followed(tmp_path):
    return Following(tmp_path)


def test_capture_off_holds_at_once_and_is_on_the_record(followed):
    assert followed.follower.poll() is None
    taken = followed.save(HEAD + '[capture]\nmode = "off"\n')
    assert taken.capture == "off"
    assert followed.told == ["freehold.toml was changed; in force: [capture] mode"]
    with open_store(followed.url) as store:
        (entry,) = [one for one in audit.entries(store.database) if one.action == "gateway.config"]
    assert entry.detail["capture"] == "off"
    # What was promised since the start is not taken back while it runs.
    assert followed.save(HEAD + '[capture]\nmode = "raw"\n') is None
    assert "AT THE NEXT START ONLY: [capture] mode" in followed.told[-1]


def test_endpoints_come_and_stay_while_a_route_goes_to_them(followed):
    taken = followed.save(HEAD + CAPTURE + OTHER)
    assert [one.name for one in taken.endpoints] == ["incumbent", "house"]
    with open_store(followed.url) as store:
        target = Target(endpoint="house")
        store.save_route(Route(name="r", model="m", incumbent=target), who="a", at=datetime.now(UTC), why="")
    assert followed.save(HEAD + CAPTURE) is None
    assert followed.told[-1] == "freehold.toml: the endpoint house stays, the route r goes to it"
    with open_store(followed.url) as store:
        store.delete_route("r", who="a", at=datetime.now(UTC), why="")
    assert [one.name for one in followed.save(HEAD + CAPTURE + "\n").endpoints] == ["incumbent"]


@pytest.mark.parametrize("broken", ["[captur]\n", "[capture", HEAD + OTHER + OTHER])
def test_a_broken_file_or_one_saved_half_leaves_what_runs(followed, broken):
    assert followed.save(broken) is None
    assert followed.told[-1].endswith("; what ran before goes on")
    assert followed.save(HEAD + '[capture]\nmode = "off"\n').capture == "off"


@pytest.mark.process
def test_a_file_that_is_still_written_is_in_force_when_it_is_whole(followed):
    """Its half reads well: the endpoints that come behind it would be taken from the clients that ask them."""
    assert [one.name for one in followed.save(HEAD + CAPTURE + OTHER).endpoints] == [
        "incumbent",
        "house",
    ]
    told = len(followed.told)
    text = HEAD + '[capture]\nmode = "off"\n' + OTHER
    for end in range(len(HEAD), len(text)):
        followed.path.write_text(text[:end])
        os.utime(followed.path, ns=(end * 10**9, end * 10**9))
        assert followed.follower.poll() is None
    assert len(followed.told) == told
    taken = followed.save(text)
    assert [one.name for one in taken.endpoints] == ["incumbent", "house"] and taken.capture == "off"


def test_what_only_a_start_can_do_is_said(followed):
    text = HEAD + CAPTURE + "[serve]\nport = 9999\ncontext_tokens = 512\n"
    assert followed.save(text) is None
    assert "[serve] context_tokens" in followed.told[-1]
    assert "OVERRULED BY THE COMMAND LINE: [serve] port (by --port)" in followed.told[-1]


def test_a_store_that_is_busy_is_asked_again(followed, monkeypatch):
    broken = iter([StorageError("the store is busy")])

    def opened(url):
        for error in broken:
            raise error
        return open_store(url)

    monkeypatch.setattr("freehold.workflows.shift.following.open_store", opened)
    assert followed.save(HEAD + '[capture]\nmode = "off"\n') is None
    assert followed.told[-1] == "freehold.toml: the store is busy; what ran before goes on"
    assert followed.follower.poll().capture == "off"


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[app]\n" * 100_000, b"\0" * 1000])
def test_what_is_no_file_of_ours_leaves_what_runs(followed, data):
    followed.path.write_bytes(data)
    followed.follower.poll()
    assert followed.follower.poll() is None
    assert followed.told[-1].endswith("; what ran before goes on")


def test_a_key_that_the_processes_were_not_given_waits(followed, monkeypatch):
    monkeypatch.setenv("HOUSE_KEY", "sk-1")
    followed.save(HEAD + CAPTURE + OTHER + 'api_key_env = "HOUSE_KEY"\n')
    assert "AT THE NEXT START ONLY: the key in HOUSE_KEY" in followed.told[-1]


def test_credentials_of_a_cloud_that_the_processes_were_not_told_of_wait(followed, monkeypatch):
    text = HEAD + CAPTURE + OTHER + 'credentials = "google"\n'
    taken = followed.save(text)
    assert [one.credentials for one in taken.endpoints] == [None, "google"]
    assert "AT THE NEXT START ONLY: credentials of Google Cloud" in followed.told[-1]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert followed.save(text.replace("google", "azure")) is None
    assert "needs the extra 'azure'" in followed.told[-1]


def test_every_field_that_people_can_set_has_a_name():
    from freehold.gateway.config import TAKEN_OVER

    assert set(KEYS) <= set(GatewayConfig.__struct_fields__)
    unnamed = TAKEN_OVER - set(KEYS)
    assert unnamed == {"without_key", "default_model", "attributions"}


def test_every_table_of_the_file_is_followed_read_anew_or_waits():
    followed = {"incumbent", "endpoints", "capture", "use", "serve"}
    by_observer = {"routes", "watch", "rollout"}
    by_commands = set(ProjectConfig.__struct_fields__) - followed - by_observer
    # A table that is new must be put into one of these: a key that changes nothing must say so.
    assert by_commands == {
        "app", "candidates", "curate", "data", "defer", "improve", "selection", "task", "train",
    }  # fmt: skip
    assert ServeConfig.__struct_fields__


@pytest.fixture
def run_folder(followed, tmp_path):
    """The run folder of a gateway of the project, as one leaves word of it."""
    folder = tmp_path / "run"
    folder.mkdir()
    leave_word(open_project(followed.path).state.resolve() / "spool", folder)
    return folder


def test_metrics_say_while_the_file_is_not_in_force(followed, run_folder):
    def stale():
        return [snapshot.gauges["freehold_config_stale"] for snapshot in read_all(run_folder)]

    followed.save(HEAD + CAPTURE + OTHER)
    assert stale() == [0]
    followed.save("not toml")
    assert stale() == [1]
    followed.save(HEAD + CAPTURE)
    assert stale() == [0]
    followed.save(HEAD + CAPTURE + '[serve]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    assert stale() == [1], "it waits for the next start"


@pytest.fixture
def observing(tmp_path):
    """Begins the observer of this folder's store, which follows the file that is named."""
    with ExitStack() as stack:

        def begin(config_path=None):
            config = ObserverConfig(store_url=default_url(tmp_path), config_path=config_path)
            child = ObserverProcess(config, tmp_path / "observer.log")
            stack.callback(child.stop)
            return child

        yield begin


@pytest.fixture
def observer(observing):
    return observing()


def eventually(claim, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def secrets_of(process_id):
    """Which secrets a process was given. For a moment after its start there is nothing to read."""
    eventually(psutil.Process(process_id).environ)
    return set(SECRETS) & set(psutil.Process(process_id).environ())


def kill(process_id):
    os.kill(process_id, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(process_id) or psutil.Process(process_id).status() == "zombie")


@pytest.mark.process
def test_one_that_died_is_started_again_after_a_pause(observer, monkeypatch):
    first = observer.pid
    monkeypatch.setattr(following, "RESTART_PAUSE_S", 600.0)
    kill(first)
    observer.tend()
    assert observer.pid == first, "not in a loop without a pause"
    monkeypatch.setattr(following, "RESTART_PAUSE_S", 0.0)
    observer.tend()
    assert observer.pid != first and psutil.pid_exists(observer.pid)


@pytest.mark.process
def test_it_ends_when_its_input_is_closed(observer):
    observer.stop(timeout_s=30.0)
    assert not psutil.pid_exists(observer.pid)


@pytest.mark.process
def test_one_that_does_not_end_is_killed(observer):
    os.kill(observer.pid, signal.SIGSTOP)
    observer.stop(timeout_s=0.1)
    assert not psutil.pid_exists(observer.pid)


WATCHED = '[app]\nname = "x"\n[watch]\nwebhook_env = "HOOK_SECRET"\n'
JURY = (
    '[task]\nscorer = "judge"\n[task.options]\nbase_url = "http://127.0.0.1:1"\napi_key_env = "JUDGE_KEY"\n'
    '[[task.options.others]]\napi_key_env = "SECOND_KEY"\n'
)
SECRETS = {"HOOK_SECRET": "a", "JUDGE_KEY": "b", "SECOND_KEY": "c", "SHOP_KEY": "d", "PGPASSWORD": "e"}


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.process
@pytest.mark.parametrize(
    ("url", "text", "known"),
    [
        ("sqlite:///x", '[app]\nname = "x"\n', set()),
        ("sqlite:///x", WATCHED, {"HOOK_SECRET"}),
        ("sqlite:///x", WATCHED + JURY, {"HOOK_SECRET", "JUDGE_KEY", "SECOND_KEY"}),
        ("postgresql://db/x", WATCHED, {"HOOK_SECRET", "PGPASSWORD"}),
    ],
)
def test_it_is_given_what_the_file_says_it_needs(secrets, url, text, known):
    assert set(SECRETS) & set(environment_of(url, parse(text))) == known


@pytest.mark.process
def test_it_is_started_again_when_the_file_names_another_variable(secrets, observing, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "RESTART_PAUSE_S", 0.0)
    file = tmp_path / "freehold.toml"
    file.write_text('[app]\nname = "x"\n')
    child = observing(str(file))
    first = child.pid
    assert not secrets_of(first)
    file.write_text(WATCHED)
    eventually(lambda: child.tend() or child.pid != first)
    assert secrets_of(child.pid) == {"HOOK_SECRET"}
    second = child.pid
    file.write_text(WATCHED + "# nothing else\n")
    child.tend()
    file.write_text("[app")
    child.tend()
    time.sleep(0.3)
    child.tend()
    assert child.pid == second


WITH_INCUMBENT = '[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'


@pytest.mark.process
def test_it_rolls_back_survives_a_kill_and_follows_the_file(observing, tmp_path):
    file = tmp_path / "freehold.toml"
    file.write_text(WITH_INCUMBENT)
    observer = observing(str(file))
    with open_store(default_url(tmp_path)) as store:
        begun(store)
        os.kill(observer.pid, signal.SIGKILL)
        for number in range(60):
            store.add_traces(mirrored(number, wrong=number % 2 == 0))
        dead = observer.pid
        eventually(lambda: observer.tend() or observer.pid != dead)
        eventually(lambda: store.routes()[0].state == "rolled_back")
        assert store.route_history("support")[-1].who == "freehold"
        log = tmp_path / "observer.log"
        eventually(lambda: "route support rolled back: quality" in log.read_text())
        file.write_text(WITH_INCUMBENT + '[[routes]]\nname = "vip"\nmodel = "*"\n')
        eventually(lambda: [route.name for route in store.routes()] == ["support", "vip"])
        file.write_text(WITH_INCUMBENT + "[[routs]]\n")
        eventually(lambda: "did you mean" in log.read_text() or "unknown key routs" in log.read_text())
        assert len(store.routes()) == 2
