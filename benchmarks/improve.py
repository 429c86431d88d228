"""Banking77 as a stream: a first model from the first part, then a generation for each part that follows.

    python -m benchmarks.improve --data DATA --out OUT [--parts 8] [--audit 0.3] [--margin 0.03] \
        [--drift] [--watch] [--kills 8]

DATA holds Banking77's train.csv and test.csv (PolyAI, CC-BY-4.0), which are not copied. The incumbent is the right
label with 6 % random errors, behind an address on loopback, under the name of a model whose answers may be learned.
Each part is answered by the generation that serves, with its rule and its engine, and becomes the traces that
`freehold improve` reads; people say what is right of the audited ones, what was deferred has the incumbent's answer.
The last tenth of the messages is in no part: by it each generation is measured beside a model that learned everything.
With `--kills` each generation is killed as often first, and goes on; with `--watch` a check follows each seventh of a
part. With `--drift` a seventh of the classes does not occur before the fifth part. OUT is a new folder: what was looked
at before counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import msgspec

from freehold.engines import start
from freehold.errors import UntrustedError
from freehold.evals.replay import ReplayOptions
from freehold.progress import Silent
from freehold.store import Store, open_store
from freehold.types.dataset import Message, Sample
from freehold.types.deferral import DeferralDecision
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import EvalResult
from freehold.types.generation import Generation, GenerationTraffic
from freehold.types.record import event_id
from freehold.types.route import Route, Target
from freehold.types.trace import Trace, Usage
from freehold.workflows.improve.chain import chain_of
from freehold.workflows.improve.improve import improve
from freehold.workflows.improve.traffic import is_audited
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import Project, agree, open_project
from freehold.workflows.prove.evaluate import ServedCandidate, ask_and_score
from freehold.workflows.prove.mixed import decide
from freehold.workflows.prove.task import task_of
from freehold.workflows.watch.watch import check

Row = tuple[str, str]
"""A message and its right label."""
BEGAN = datetime.now(UTC)
"""Its traffic is of the weeks to come: a check counts what was asked after a swap, which is now."""
INCUMBENT = "mistralai/Mistral-7B-Instruct-v0.3"
CONFIG = """
[app]
name = "banking"
[incumbent]
model = "mistralai/Mistral-7B-Instruct-v0.3"
base_url = "{url}"
price = {{ prompt = 1, completion = 1 }}
[use]
mode = "internal"
commercial = true
[data]
files = ["first.jsonl"]
format = "columns"
input = "message"
label = "gold"
incumbent = "incumbent"
[task]
scorer = "label"
margin = {margin}
[improve]
audit_share = {audit}
budget_usd = 100
[rollout]
hours_a_stage = 0
[watch]
every_hours = 17.5
[defer]
recheck_share = {recheck}
"""


def rows_of(data: Path, seed: int) -> list[Row]:
    rows = []
    for name in ("train", "test"):
        with (data / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            rows += [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]
    rows = list(dict(rows).items())
    random.Random(seed).shuffle(rows)
    return rows


def parts_of(rows: Sequence[Row], parts: int, *, drift: bool) -> tuple[list[list[Row]], list[Row], set[str]]:
    """The stream, what is in no part, and the labels that come late."""
    unseen, rest = list(rows[: len(rows) // 10]), list(rows[len(rows) // 10 :])
    labels = sorted({label for _, label in rows})
    late = set(random.Random(7).sample(labels, len(labels) // 7)) if drift else set[str]()
    size = len(rest) // parts
    held_back = [row for row in rest if row[1] in late]
    early = [row for row in rest if row[1] not in late]
    if not drift:
        return [rest[at * size : (at + 1) * size] for at in range(parts)], unseen, late
    found: list[list[Row]] = []
    from_part = 4
    per_part = len(held_back) // (parts - from_part)
    for at in range(parts):
        new = held_back[(at - from_part) * per_part :][:per_part] if at >= from_part else []
        found.append([*early[: size - len(new)], *new])
        early = early[size - len(new) :]
        random.Random(at).shuffle(found[-1])
    return found, unseen, late


def incumbent_answers(rows: Sequence[Row]) -> dict[str, str]:
    labels = sorted({label for _, label in rows})
    draw = random.Random(11)
    return {text: draw.choice(labels) if draw.random() < 0.06 else label for text, label in rows}


@contextmanager
def incumbent(says: dict[str, str], asked: list[str] | None = None) -> Iterator[str]:
    """Its address; what it is asked is added to `asked`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = body["messages"][-1]["content"]
            if asked is not None:
                asked.append(text)
            message = {"role": "assistant", "content": says[text]}
            answer = {
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25},
            }
            sent = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def samples_of(rows: Sequence[Row], says: dict[str, str]) -> list[Sample]:
    return [
        Sample(
            id=str(at), messages=(Message(role="user", content=text),), gold=gold, incumbent=says.get(text)
        )
        for at, (text, gold) in enumerate(rows)
    ]


def answered(project: Project, plan: ServePlan, samples: list[Sample]) -> list[EvalResult]:
    async def ask() -> list[EvalResult]:
        async with start(plan, log_dir=project.state / "engines", name="stream") as endpoint:
            served = ServedCandidate(endpoint, plan.served_name)
            found = await ask_and_score(
                served, INCUMBENT, samples, {}, task_of(project), ReplayOptions(4), Silent()
            )
            return list(found.results.candidate)

    return anyio.run(ask)


def stream(
    project: Project,
    store: Store,
    serving: Generation,
    rows: Sequence[Row],
    says: dict[str, str],
    day: int,
    *,
    first: int = 0,
) -> dict[str, float]:
    """Answer a part by the generation that serves and the route's rule, and keep it as a gateway would. `first` is the
    place in the part of the first row."""
    assert serving.plan is not None
    samples, rule = samples_of(rows, says), store.routes()[0].deferral
    results = answered(project, serving.plan, samples)
    sure = [1.0] * len(rows) if rule is None else decide(rule, samples, results).tolist()
    least = 0.0 if rule is None else rule.threshold
    traces, right = [], 0
    for at, ((text, gold), result, how_sure) in enumerate(zip(rows, results, sure, strict=True)):
        here = how_sure >= least
        said = (result.output or "") if here else says[text]
        right += said == gold
        moment = BEGAN + timedelta(days=7 * day, seconds=300 * (first + at))
        id = event_id(int(moment.timestamp() * 1000))
        labelled = is_audited(id, project.config.improve.audit_share)
        traces.append(
            Trace(
                id=id, at=moment, gold=gold if labelled else None, source="gateway", model=INCUMBENT,
                request={"messages": [{"role": "user", "content": text}]},
                response={"choices": [{"message": {"role": "assistant", "content": said}}]},
                route=project.config.app.name, arm="candidate", share=1.0, user=f"user-{day}-{first + at}",
                endpoint="local" if here else "incumbent",
                usage=Usage(prompt_tokens=20, completion_tokens=5),
                deferral=None if rule is None else DeferralDecision(
                    rule_id=rule.id, by="candidate" if here else "incumbent",
                    why="sure" if here else "unsure", confidence=min(1.0, max(0.0, how_sure)),
                ),
            )
        )  # fmt: skip
    store.add_traces(traces)
    return {
        "share": sum(one >= least for one in sure) / len(rows),
        "right": right / len(rows),
        "incumbent": sum(says[text] == gold for text, gold in rows) / len(rows),
    }


def watched(
    project: Project, store: Store, serving: Generation, rows: Sequence[Row], says: dict[str, str], day: int
) -> dict[str, Any]:
    """A part in sevenths, `freehold watch` after each; what it says where it takes the traffic away."""
    size, seen, alarms = math.ceil(len(rows) / 7), [], []
    for first in range(0, len(rows), size):
        chunk, serving = rows[first : first + size], chain_of(store, store.routes()[0]).serving
        seen.append((len(chunk), stream(project, store, serving, chunk, says, day, first=first)))
        at = BEGAN + timedelta(days=7 * day, seconds=300 * (first + size))
        if not on_safe_side(store):
            found = check(project, store, "banking", at=at, progress=Silent())
            alarms += [f"{first + size}: {found.action}, asked {found.pairs}"] * found.alarm
    total = sum(n for n, _ in seen)
    shares: dict[str, Any] = {name: sum(n * one[name] for n, one in seen) / total for name in seen[0][1]}
    return {**shares, "alarms": alarms}


def on_safe_side(store: Store) -> bool:
    rule = store.routes()[0].deferral
    return rule is not None and rule.is_on_safe_side


def killed(project: Project, store: Store, serving: Generation, kills: int, draw: random.Random) -> None:
    """`freehold improve` as a process that is killed (-9) at random moments, so often; after each, what serves must be
    whole: the route's model and rule those of one generation, the one before or the new one."""
    command = [sys.executable, "-m", "freehold", "improve", "--config", str(project.config_path), "--json"]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.5, 15))
        process.kill()
        process.wait()
        now = chain_of(
            store, store.routes()[0]
        ).serving  # raises where no generation is served as it was proven
        assert now.number in (serving.number, serving.number + 1), (now.number, serving.number)


def measured(
    project: Project, serving: Generation, unseen: list[Row], says: dict[str, str], late: set[str]
) -> dict[str, float]:
    """By messages that are in no part: the model alone, and with its fallback."""
    assert serving.plan is not None
    samples = samples_of(unseen, says)
    results = answered(project, serving.plan, samples)
    own = [one.output == gold for one, (_, gold) in zip(results, unseen, strict=True)]
    sure = [True] * len(own)
    if serving.rule is not None:
        sure = (decide(serving.rule, samples, results) >= serving.rule.threshold).tolist()
    theirs = [says[text] == gold for text, gold in unseen]
    mixed = [mine if here else other for mine, here, other in zip(own, sure, theirs, strict=True)]
    found = {
        "alone": sum(own) / len(own),
        "share": sum(sure) / len(sure),
        "with_fallback": sum(mixed) / len(mixed),
        "incumbent": sum(theirs) / len(theirs),
    }
    if late:
        of_late = [at for at, (_, gold) in enumerate(unseen) if gold in late]
        found["late_here"] = sum(sure[at] for at in of_late) / len(of_late)
        found["late_right"] = sum(mixed[at] for at in of_late) / len(of_late)
    return found


def opened(
    folder: Path, rows: Sequence[Row], says: dict[str, str], url: str, args: argparse.Namespace
) -> Project:
    folder.mkdir(parents=True)
    text = CONFIG.format(url=url, margin=args.margin, audit=args.audit, recheck=args.recheck)
    for model in args.candidate:
        text += f'[[candidates]]\nmodel = "{model}"\nmethod = "encoder"\n'
    (folder / "freehold.toml").write_text(text)
    with (folder / "first.jsonl").open("w") as file:
        for message, gold in rows:
            file.write(json.dumps({"message": message, "gold": gold, "incumbent": says[message]}) + "\n")
    path = folder / "freehold.toml"
    try:
        return open_project(path)
    except UntrustedError as asked:
        agree(path, asked.all)
        return open_project(path)


def run(args: argparse.Namespace) -> None:
    rows = rows_of(args.data, args.seed)
    parts, unseen, late = parts_of(rows, args.parts, drift=args.drift)
    says = incumbent_answers(rows)
    told: list[dict[str, Any]] = []
    out = args.out / f"stream-{args.seed}{'-drift' if args.drift else ''}.json"
    args.out.mkdir(parents=True, exist_ok=True)

    def tell(**row: Any) -> None:
        told.append(row)
        out.write_text(json.dumps(told, indent=1))
        print(json.dumps(row), flush=True)

    with incumbent(says) as url:
        project = opened(args.out / f"project-{args.seed}-{int(args.drift)}", parts[0], says, url, args)
        began = time.monotonic()
        first = migrate(project, progress=Silent(), beginning="anyway")
        tell(part=1, seconds=round(time.monotonic() - began), verdict=first.verdict, summary=first.summary())
        assert first.best is not None and first.plan is not None and first.promoted
        mixture = first.best.mixture
        route = Route(
            name="banking", model=INCUMBENT, incumbent=Target(endpoint="incumbent"), state="promoted",
            candidate=Target(endpoint="local", model=first.plan.served_name),
            deferral=None if mixture is None else mixture.rule,
        )  # fmt: skip
        with open_store(project.store_url) as store:
            store.save_route(route, who="benchmark", at=BEGAN)
            serving = chain_of(store, store.routes()[0]).serving
            tell(part=1, unseen=measured(project, serving, unseen, says, late))
            for number, part in enumerate(parts[1:], 2):
                answer = watched if args.watch else stream
                seen = answer(project, store, serving, part, says, number)
                killed(project, store, serving, args.kills, random.Random(number))
                began = time.monotonic()
                made = improve(project, progress=Silent())
                seconds = round(time.monotonic() - began)
                serving = chain_of(store, store.routes()[0]).serving
                last = made.generations[-1]
                tell(
                    part=number, streamed=seen, outcome=made.outcome, sentence=made.sentence, seconds=seconds,
                    traffic=msgspec.to_builtins(last.traffic), alpha=last.alpha, better=last.better,
                    earlier=msgspec.to_builtins(last.earlier), difference=last.difference, low=last.low,
                    unseen=measured(project, serving, unseen, says, late),
                )  # fmt: skip
        if not args.skip_whole:
            whole = opened(
                args.out / f"whole-{args.seed}-{int(args.drift)}",
                [row for part in parts for row in part],
                says,
                url,
                args,
            )
            found = migrate(whole, progress=Silent(), beginning="anyway")
            assert found.plan is not None and found.best is not None
            rule = None if found.best.mixture is None else found.best.mixture.rule
            made_of_all = Generation(
                route="banking",
                number=0,
                at=BEGAN,
                state="serves",
                label="",
                plan=found.plan,
                rule=rule,
                traffic=GenerationTraffic(after=0, upto=0),
            )
            tell(whole=measured(whole, made_of_all, unseen, says, late), verdict=found.verdict)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--audit", type=float, default=0.3)
    parser.add_argument("--margin", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drift", action="store_true")
    parser.add_argument(
        "--recheck", type=float, default=0.3, help="of sure answers, what each check asks again"
    )
    parser.add_argument("--watch", action="store_true", help="freehold watch after each seventh of a part")
    parser.add_argument("--kills", type=int, default=0, help="kill -9 of each generation, at random moments")
    parser.add_argument("--skip-whole", action="store_true")
    parser.add_argument("--candidate", action="append", default=[], help="a model for the method encoder")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
