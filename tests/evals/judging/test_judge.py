import asyncio

from aiohttp import web
from tests.evals.judging.conftest import answer, honest, run

from freehold.evals.comparing import SideBySide
from freehold.evals.task_comparison import compare_by_task
from freehold.types.dataset import Sample
from freehold.types.evaluation import Task


def test_unreadable_judgements_are_unscored(serve):
    made, _ = run(serve, lambda body, attempt: "I like both", ["a"] * 3, ["b"] * 3)
    assert {one.score.reason for one in made.candidate} == {
        "judge_unreadable: no verdict in the judge's answer"
    }
    made, _ = run(serve, lambda body, attempt: web.Response(status=500), ["a"], ["b"])
    assert made.candidate[0].score.reason.startswith("judge_failed: http_500")


def test_judgements_are_kept(serve, tmp_path):
    async def go():
        async with serve(honest, streaming=False) as server:
            options = {"base_url": server.endpoint.base_url, "model": "j", "cache": str(tmp_path / "j.jsonl")}
            for _ in range(2):
                await compare_by_task(
                    SideBySide(
                        [Sample(id="s0", messages=())],
                        [None],
                        [answer(0, "i", "bad")],
                        [answer(0, "c", "good")],
                        "i",
                        "c",
                    ),
                    Task(name="t", scorer="judge", options=options),
                )
            return len(server.seen)

    assert asyncio.run(go()) == 2
