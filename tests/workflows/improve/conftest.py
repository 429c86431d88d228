"""A promoted words student, and traffic that it answered, as a gateway leaves it."""

import argparse
import random
import shutil

import pytest

from benchmarks import improve as streams
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.route import Route, Target
from freehold.workflows.improve.chain import chain_of
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project

LABELS = [f"topic-{one}" for one in "abcdefghijklmnop"]
MARGIN, AUDIT = 0.05, 0.3
_LETTERS = random.Random(0)
TELLING = {
    label: ["".join(_LETTERS.choices("bcdfghjklmnpqrstvwxz", k=6)) for _ in range(30)] for label in LABELS
}
"""Words that have no letters in common."""


def rows(n, seed, labels=LABELS):
    """Messages that tell their topic by one of its thirty words, among words that tell nothing."""
    draw = random.Random(seed)
    found = []
    for at in range(n):
        label = draw.choice(labels)
        telling = draw.sample(TELLING[label], 1)
        other = draw.sample([f"noise{one}" for one in range(60)], 4)
        words = [*telling, *other, f"n{seed}x{at}"]
        draw.shuffle(words)
        found.append((" ".join(words), label))
    return found


@pytest.fixture(scope="session")
def first_model(tmp_path_factory):
    """The folder of a project whose words student was proven, with the incumbent's answers."""
    folder = tmp_path_factory.mktemp("improve") / "first"
    first = rows(600, 1)
    says = streams.incumbent_answers([*first, *(row for seed in (2, 3, 4) for row in rows(1_500, seed))])
    args = argparse.Namespace(margin=MARGIN, audit=AUDIT, recheck=0.02, candidate=["words"])
    project = streams.opened(folder, first, says, "http://127.0.0.1:9/v1", args)
    made = migrate(project, progress=Silent(), beginning="anyway")
    assert made.promoted, made.report.candidates[0].verdict
    return folder, says


class Scene:
    """A copy of the project, its route promoted, the incumbent answering."""

    def __init__(self, folder, says, url, asked):
        self.says, self.folder, self.asked = says, folder, asked
        path = folder / "freehold.toml"
        path.write_text(path.read_text().replace("http://127.0.0.1:9/v1", url))
        self.project = open_project(path)
        self.store = open_store(self.project.store_url).__enter__()

    def promote(self):
        from freehold.types.endpoint import ServePlan
        from freehold.types.report import Report

        plan = self.store.latest(ServePlan)
        best = next(one for one in self.store.latest(Report).candidates if one.outcome == "promote")
        self.store.save_route(
            Route(
                name="banking",
                model=streams.INCUMBENT,
                incumbent=Target(endpoint="incumbent"),
                candidate=Target(endpoint="local", model=plan.served_name),
                state="promoted",
                deferral=None if best.mixture is None else best.mixture.rule,
            ),
            who="test",
            at=streams.BEGAN,
        )

    @property
    def route(self):
        return self.store.routes()[0]

    @property
    def serving(self):
        return chain_of(self.store, self.route).serving

    def stream(self, n=1_500, seed=2, day=1):
        """Traffic that the serving generation answered."""
        return streams.stream(self.project, self.store, self.serving, rows(n, seed), self.says, day)


@pytest.fixture
def scene(first_model, tmp_path, monkeypatch):
    folder, says = first_model
    # The same place: what is kept names it.
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    asked, says = [], dict(says)
    with streams.incumbent(says, asked) as url:
        made = Scene(folder, says, url, asked)
        made.promote()
        try:
            yield made
        finally:
            made.store.__exit__(None, None, None)
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
