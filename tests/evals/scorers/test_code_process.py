"""What code in the sandbox tries, and that freehold goes on. Each is the real thing in the real process."""

import ast
import asyncio
import os
import socket
import uuid
from pathlib import Path

import psutil
import pytest
from tests.gateway.loopback import eventually

from freehold.bounded.sandbox import LIMITS, sandbox_state
from freehold.evals.scorers.code import CodeLimits, CodeProcess, EndedError

pytestmark = pytest.mark.process

HOSTILE = """
import os, signal, socket, subprocess, sys, time

def grade(answer, reference, sample):
    return {"value": 1, "reason": str(eval(answer))} if answer else 1

def write(path, size):
    with open(path, "wb") as file:
        for _ in range(size // 2**20):
            file.write(b"x" * 2**20)

def fork_for_ever():
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)

def eat_in_many_processes():
    for _ in range(8):
        if not os.fork():
            kept = bytearray(100 * 2**20)
            time.sleep(30)
    time.sleep(30)
"""
MEMORY_MIB = 256


@pytest.fixture(params=["bubblewrap", "limits"])
def kind(request):
    if request.param == "bubblewrap" and sandbox_state().kind != "bubblewrap":
        pytest.skip(f"no bubblewrap: {sandbox_state().why}")
    return request.param


@pytest.fixture
def bubblewrap():
    if sandbox_state().kind != "bubblewrap":
        pytest.skip(f"no bubblewrap: {sandbox_state().why}")


def said(tmp_path, expression, *, kind="bubblewrap", seconds=3.0):
    """What the expression gives in there, the reply's error, or why the process was ended. It has to go on after it."""
    path = tmp_path / "hostile.py"
    path.write_text(HOSTILE)

    async def go():
        limits = CodeLimits(seconds=seconds, memory_mib=MEMORY_MIB, processes=16)
        state = sandbox_state() if kind == "bubblewrap" else LIMITS
        process = CodeProcess(f"{path}:grade", limits, state, [path])
        try:
            assert (await process.start()).ready
            try:
                reply = await process.ask({"answer": expression, "reference": None, "sample": {}})
                found = reply.error or reply.nonsense or reply.reason
            except EndedError as error:
                found = str(error)
            if not process.is_running:
                assert (await process.start()).ready
            assert (await process.ask({"answer": "", "reference": None, "sample": {}})).value == 1
            return found
        finally:
            process.close()

    found = asyncio.run(go())
    left = [one for one in psutil.Process().children(recursive=True) if str(path) in " ".join(_command(one))]
    assert not left
    return found


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_environment_is_a_short_list(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("OPENAI_API_KEY", "canary-in-the-environment")
    expression = (
        "dict(os.environ), open('/proc/self/environ').read(), open(f'/proc/{os.getppid()}/environ').read()"
    )
    if kind == "limits":
        expression = "dict(os.environ)"  # whose parent is freehold itself: files are not closed
    found = said(tmp_path, expression, kind=kind)
    assert "HOME" in found
    assert "canary" not in found


def test_no_network(tmp_path, bubblewrap):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connect = f"socket.create_connection({listening.getsockname()}, timeout=1)"
        assert "ConnectionRefusedError" in said(tmp_path, connect)
        assert "gaierror" in said(tmp_path, "socket.getaddrinfo('example.org', 443)")
    outside = tmp_path / "outside.socket"
    served = socket.socket(socket.AF_UNIX)
    served.bind(str(outside))
    served.listen()
    assert "FileNotFoundError" in said(tmp_path, f"socket.socket(socket.AF_UNIX).connect({str(outside)!r})")
    served.close()


def test_files_outside_are_not_there_and_nothing_is_written(tmp_path, bubblewrap):
    (tmp_path / ".env").write_text("OPENAI_API_KEY=canary")
    assert said(tmp_path, f"os.listdir({str(tmp_path)!r})") == "['hostile.py']"
    assert "FileNotFoundError" in said(tmp_path, f"open({str(tmp_path / '.env')!r})")
    assert "FileNotFoundError" in said(tmp_path, "open('/etc/passwd')")
    said(
        tmp_path, f"open({str(tmp_path / 'new')!r}, 'w')"
    )  # in a folder of its own that is called like this one
    for place in (tmp_path / "hostile.py", "/usr/new", "/new", "/dev/new"):
        assert "Read-only file system" in said(tmp_path, f"open({str(place)!r}, 'w')"), place
    assert not (tmp_path / "new").exists()


def test_its_temporary_folder_is_its_own(tmp_path, kind):
    name = (
        f"freehold-{uuid.uuid4()}"  # with bubblewrap the folder is another /tmp, in which others write, too
    )
    expression = (
        "(__import__('tempfile').gettempdir(), os.environ['HOME'], "
        f"write(os.environ['TMPDIR'] + '/{name}', 2**20))"
    )
    folder, home, _ = ast.literal_eval(said(tmp_path, expression, kind=kind))
    assert folder == home
    assert not (Path(folder) / name).exists()


def test_a_fork_bomb_ends(tmp_path, kind):
    found = said(tmp_path, "fork_for_ever()", kind=kind)
    assert found in ("over_limit: more than 16 processes", "timeout: longer than 3 s")
    if os.getuid() == 0:  # whom the kernel counts no processes for: they are counted from outside
        assert found.startswith("over_limit")


def test_a_memory_bomb_ends(tmp_path, kind):
    assert "MemoryError" in said(tmp_path, "len(bytearray(2**30))", kind=kind)
    assert said(tmp_path, "eat_in_many_processes()", kind=kind, seconds=10) == (
        f"over_limit: more than {MEMORY_MIB} MiB of memory"
    )


def test_an_endless_loop_ends(tmp_path, kind):
    assert said(tmp_path, "any(iter(int, 1))", kind=kind, seconds=1) == "timeout: longer than 1 s"


def test_a_huge_file_ends(tmp_path, kind):
    folder = "os.environ['TMPDIR']"
    assert "OSError" in said(tmp_path, f"write({folder} + '/huge', 10 * 2**30)", kind=kind, seconds=20)
    if kind == "bubblewrap":
        many = f"[write({folder} + f'/{{i}}', 2**25) for i in range(10)]"
        assert "No space left" in said(tmp_path, many, seconds=20)
        assert "No space left" in said(tmp_path, many.replace(folder, "'/dev/shm'"), seconds=20)


def test_its_parent_lives_on(tmp_path, bubblewrap):
    assert os.getpid() > 1
    assert "ProcessLookupError" in said(tmp_path, f"os.kill({os.getpid()}, signal.SIGKILL)")
    said(tmp_path, "os.kill(os.getppid(), signal.SIGKILL)")
    said(tmp_path, "os.kill(-1, signal.SIGKILL)")
    said(tmp_path, "[os.kill(one, signal.SIGKILL) for one in range(1, 2000)]")


def test_a_flood_of_output_ends(tmp_path, kind, capfd):
    assert "over_limit: more than 8 MiB printed" in said(
        tmp_path, "[print('x' * 10000) for _ in iter(int, 1)]", kind=kind, seconds=20
    )
    assert len(capfd.readouterr().out) < 1000


def test_a_child_that_outlives_its_answer_goes_with_the_process(tmp_path, bubblewrap):
    expression = "subprocess.Popen(['setsid', 'sleep', '1234567'], start_new_session=True).pid"
    assert said(tmp_path, expression).isdigit()
    # The sandbox's first process is gone when its answer is; what it had begun is ended by the kernel right after.
    eventually(lambda: not [one for one in psutil.process_iter() if "1234567" in _command(one)])


def test_no_namespaces_within(tmp_path, bubblewrap):
    if "--disable-userns" not in sandbox_state().flags:
        pytest.skip("this bubblewrap cannot close namespaces")
    assert said(tmp_path, "subprocess.run(['unshare', '-Ur', 'true'], stderr=-3).returncode") != "0"


def test_a_reply_to_another_question_ends_it(tmp_path, kind):
    forged = (
        """[os.write(fd, b'{"number": 99, "value": 1.0}\\n') for fd in range(3, 9) """
        "if os.path.exists(f'/proc/self/fd/{fd}') and 'socket' in os.readlink(f'/proc/self/fd/{fd}')]"
    )
    assert said(tmp_path, forged, kind=kind) == "crashed: the reply is not to the question"


def test_a_start_that_is_cancelled_leaves_no_process(tmp_path, kind):
    """As the tasks beside one that found the callable at fault are."""
    path = tmp_path / "hostile.py"
    path.write_text(HOSTILE)
    state = sandbox_state() if kind == "bubblewrap" else LIMITS

    async def started(turns):
        process = CodeProcess(
            f"{path}:grade", CodeLimits(seconds=3.0, memory_mib=MEMORY_MIB, processes=16), state, [path]
        )
        starting = asyncio.ensure_future(process.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        process.close()
        await asyncio.sleep(0.3)

    before = set(psutil.Process().children(recursive=True))
    for turns in range(6):
        asyncio.run(started(turns))
    assert set(psutil.Process().children(recursive=True)) <= before
