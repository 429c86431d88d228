"""Runs a target for a time, guided by coverage with atheris.

The fuzzer is a process of its own, so that one that hangs in C, or takes all memory, is a finding as well and not the
end of the run. It writes each finding to `OUT/NAME-KEY.bin` and what it did to its last line.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

CORPUS = Path(__file__).parent / "corpus"
MOST_BYTES = 2048
"""Of one input."""
KEPT_INPUTS = 60
"""Most inputs of a corpus that are checked in."""
_SHORTEST_GRACE_S = 60


class Run(NamedTuple):
    """What a run came to. `coverage` counts libFuzzer's edges of freehold's code."""

    target: str
    inputs: int
    seconds: float
    coverage: int | None
    findings: tuple[dict[str, str], ...]


def guided() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def corpus(name: str) -> list[bytes]:
    """The checked-in inputs of a target."""
    path = CORPUS / f"{name}.txt"
    lines = path.read_text(encoding="ascii").split() if path.exists() else []
    return [base64.b64decode(line) for line in lines]


def run(
    name: str, *, seconds: float, seed: int, out: Path, most: int | None = None, keep: bool = False
) -> Run:
    """Fuzz one target for a time, or until `most` inputs are tried, whichever comes first: only a run that ends by
    `most` tries the same inputs each time. With `keep` the inputs that reach the most become its checked-in corpus."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="freehold-corpus-") as place:
        folder = Path(place)
        command = [sys.executable, "-m", "tests.fuzz", name, "--child", str(out), "--seconds", str(seconds)]
        command += ["--seed", str(seed), "--corpus", str(folder)]
        if most is not None:
            command += ["--most", str(most)]
        before = time.monotonic()
        log = out / f"{name}.log"
        stopped = ""
        with log.open("wb") as file:
            try:
                code = subprocess.run(
                    command,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=seconds * 3 + _SHORTEST_GRACE_S,
                    env=os.environ
                    | {"PYTHONHASHSEED": "0"},  # the order of sets is part of what an input does
                    check=False,
                ).returncode
                if code:
                    stopped = f"the fuzzer ended with {code}"
            except subprocess.TimeoutExpired:
                stopped = "an input did not end"
        spent = time.monotonic() - before
        said = log.read_text(errors="replace")
        if keep:
            _keep(name, folder)
    findings = [json.loads(path.read_text()) for path in sorted(out.glob(f"{name}-*.json"))]
    if stopped:
        findings.append({"target": name, "error": stopped, "place": said[-500:], "input": ""})
    inputs = max([0, *(int(n) for n in re.findall(r"^#(\d+)", said, re.MULTILINE))])
    inputs = max([inputs, *(int(n) for n in re.findall(r"executed_units: (\d+)", said))])
    edges = [int(n) for n in re.findall(r"cov: (\d+)", said)]
    return Run(name, inputs, round(spent, 1), max(edges, default=None), tuple(findings))


def _keep(name: str, folder: Path) -> None:
    """The shortest of the inputs that libFuzzer kept, each of which reached something new."""
    found = sorted((path.read_bytes() for path in folder.iterdir()), key=lambda data: (len(data), data))
    known = corpus(name)
    short = [data for data in found if 0 < len(data) <= 160 and data not in known]
    step = max(1, len(short) // KEPT_INPUTS)
    kept = sorted({*known, *short[::step]}, key=lambda data: (len(data), data))[: KEPT_INPUTS * 2]
    CORPUS.mkdir(exist_ok=True)
    lines = [base64.b64encode(data).decode() for data in kept]
    (CORPUS / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


def child(name: str, *, seconds: float, seed: int, out: Path, folder: Path, most: int | None = None) -> None:
    """The fuzzer's process: atheris ends it."""
    import atheris

    with atheris.instrument_imports(include=["freehold"]):
        from tests.fuzz.table import TARGETS
    target = TARGETS[name]
    for number, data in enumerate((*target.seeds, *corpus(name))):
        (folder / f"seed-{number}").write_bytes(data)
    one = _caught(target, out)
    options = [
        f"-max_total_time={int(seconds)}",
        f"-seed={seed}",
        f"-max_len={MOST_BYTES}",
        "-rss_limit_mb=0",
        *([f"-runs={most}"] if most is not None else []),
    ]
    atheris.Setup([sys.argv[0], str(folder), *options, "-timeout=120", "-print_final_stats=1"], one)
    from tests.fuzz.target import limit_memory

    limit_memory()
    atheris.Fuzz()


def _caught(target: Any, out: Path) -> Any:
    """The target's function, with each new finding written down instead of raised."""
    from tests.fuzz.target import TookTooLong, finding, watched

    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            with watched():
                target.run(data)
        except (Exception, TookTooLong) as error:
            found = finding(error, data)
            if found.name in seen:
                return
            seen.add(found.name)
            with contextlib.suppress(OSError):
                (out / f"{target.name}-{found.name}.bin").write_bytes(data)
                said = {
                    "target": target.name,
                    "error": f"{found.error}: {str(error)[:300]}",
                    "place": found.place,
                }
                said["input"] = base64.b64encode(data).decode()
                (out / f"{target.name}-{found.name}.json").write_text(json.dumps(said))
                print(
                    f"finding: {found.error} in {found.place}: {str(error)[:200]}",
                    file=sys.stderr,
                    flush=True,
                )

    return one
