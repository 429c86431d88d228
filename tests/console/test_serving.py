"""Binding the console's port, and its end."""

import asyncio
import socket
import urllib.error
import urllib.request

import pytest

from freehold.console import serving
from freehold.console.sessions import Visitor
from freehold.errors import PortInUseError


def run(project, **changes):
    """Serve until the address is known; returns it and what `visit` returned for it."""
    visit = changes.pop("visit", lambda url: None)

    async def main():
        stop, found = asyncio.Event(), []

        def ready(url):
            found.append(url)

        options = {
            "host": "127.0.0.1",
            "port": 0,
            "token": "t",
            "visitor": Visitor("ada", "operate"),
            **changes,
        }
        task = asyncio.create_task(serving.run(project, **options, ready=ready, stop=stop))
        while not found and not task.done():
            await asyncio.sleep(0.01)
        if found:
            found.append(await asyncio.to_thread(visit, found[0]))
        stop.set()
        await task
        return found

    return asyncio.run(main())


def status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_port_in_use_is_named(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)):
            run(project, port=port)


def test_it_answers_under_its_own_names_only(project):
    def visit(url):
        port = url.rpartition(":")[2]
        return [
            status(f"{url}/", Host=host)
            for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"127.0.0.1:{int(port) + 1}", "localhost")
        ]

    _, statuses = run(project, visit=visit)
    assert statuses == [200, 200, 421, 421]


def test_an_address_for_all_is_shown_as_localhost(project):
    url, _ = run(project, host="0.0.0.0")
    assert url.startswith("http://localhost:")


def test_after_the_end_nothing_listens(project):
    url, _ = run(project)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=2)
