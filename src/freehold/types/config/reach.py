"""What a `freehold.toml` has freehold run, read and call: the list that its user agrees to before any of it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from freehold.types.config.project import ProjectConfig
from freehold.visible import without_password

_PROGRAMS = ("binary", "python", "callable")
_ADDRESSES = ("base_url", "address")
_OWN = ("library", "auto")
"""Words in the place of a program or an address that mean what freehold brings or starts itself."""


def reach(config: ProjectConfig, content: Callable[[str], str]) -> tuple[str, ...]:
    """Each program that the file names, each variable and each address, as one line in words, sorted.

    `content` tells what a program is by more than its name, where it lies among the project's own files. A key stands
    in one line with the address that it is sent to: who agreed to both did not agree to each pair of them.
    """
    return tuple(sorted(set(_reach(msgspec.to_builtins(config), content))))


def _reach(value: Any, content: Callable[[str], str]) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        yield from _reach(one, content)
    if not isinstance(value, dict):
        return
    said = {key: one for key, one in value.items() if isinstance(one, str) and one not in _OWN}
    for key in _PROGRAMS:
        if key in said:
            yield f"runs {said[key]}{content(said[key])}"
    if "callable" in said:
        yield from (f"reads {one}{content(one)}" for one in value.get("files", ()))
    secrets = [f"the key in {one}" for key, one in said.items() if key.endswith("_env")]
    secrets += [f"the credentials of {said['credentials']}"] if said.get("credentials") else []
    secrets += ["its clients' keys"] if value.get("forward_client_key") else []
    addresses = [without_password(said[key]) for key in _ADDRESSES if said.get(key)]
    yield from (f"calls {' with '.join([one, *secrets])}" for one in addresses)
    if "webhook_env" in said:
        yield f"calls the address in {said['webhook_env']}"
    elif not addresses:
        yield from (f"reads {one}" for one in secrets)
