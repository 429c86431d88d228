"""How long 10,000 rulings take: every release of the catalog under many uses, lineages of up to four ancestors.

Example:
    python benchmarks/licensing.py
"""

from __future__ import annotations

import itertools
import platform
import time

from freehold.catalog.licenses import releases
from freehold.types.license import Lineage, LineageEdge
from freehold.types.use import UseProfile
from freehold.workflows.license.rule import rule_for_model

COUNT = 10_000


def questions() -> list[tuple[Lineage, UseProfile]]:
    """Lineages and uses, round robin over the catalog, so that no question repeats within a few thousand."""
    models = [model for release in releases() for model in release.models]
    uses = [
        UseProfile(
            mode=mode,
            commercial=commercial,
            seat=seat,
            monthly_active_users=users,
            annual_revenue_usd=users * 9,
        )
        for mode in ("internal", "hosted_service", "distribute_weights", "outputs_in_product")
        for commercial in (True, False)
        for seat in ("US", "DE")
        for users in (1_000, 150_000_000)
    ]
    teachers = ("gpt-4o-2024-08-06", "meta-llama/Llama-3.1-405B-Instruct", "google/gemma-2-27b-it")
    made = []
    for number, (model, use) in enumerate(zip(itertools.cycle(models), itertools.cycle(uses), strict=False)):
        if number == COUNT:
            return made
        edges = [LineageEdge(kind="base", model=model)]
        if number % 2:
            edges.append(LineageEdge(kind="distilled_from", model=teachers[number % 3]))
        if number % 3:
            edges.append(LineageEdge(kind="adapter", model="(ours) adapter"))
        if number % 5 == 0:
            edges.append(LineageEdge(kind="quantize", model="(ours) Q4_K_M"))
        made.append((Lineage(model=f"ours-{number}", edges=tuple(edges)), use))
    raise AssertionError("cycles do not end")


def main() -> None:
    """Warm the catalog, rule, print a row for docs/benchmarks.md."""
    asked = questions()
    start = time.perf_counter()
    rule_for_model("Qwen/Qwen2.5-7B", UseProfile())
    load_s = time.perf_counter() - start
    start = time.perf_counter()
    outcomes: dict[str, int] = {}
    for lineage, use in asked:
        outcome = rule_for_model(lineage.model, use, lineage=lineage).outcome
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    seconds = time.perf_counter() - start
    print(
        f"{COUNT:,} rulings in {seconds:.2f} s ({seconds / COUNT * 1e6:.0f} µs each); catalog {load_s:.2f} s"
    )
    print(f"outcomes: {dict(sorted(outcomes.items()))}; Python {platform.python_version()}, one core")


if __name__ == "__main__":
    main()
