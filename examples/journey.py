"""The whole journey from Python, as the README tells it.

    python examples/journey.py examples/tickets     a folder with a freehold.toml and the log that it names

Questions first, which cost nothing; then the migration, which trains here; then what it came to.
"""

import sys
from pathlib import Path

import freehold


def journey(folder: Path) -> freehold.Verdict | None:
    """Run a project's journey and say what was learned on the way. None where no candidate could be proven."""
    project = freehold.Project.load(folder)
    print(
        f"{project.name}: leaving {project.config.incumbent.model if project.config.incumbent else 'nothing'}"
    )

    # Which tasks are in my log, and which one to move first?
    data = project.config.data
    log = freehold.tasks(*(project.root / name for name in data.files), input=data.input, label=data.label)
    print(f"{log.requests:,} requests, {len(log.tasks)} tasks; first: {log.tasks[0].name}")

    # May I use this model for this, and does it fit here?
    for model in dict.fromkeys(candidate.model for candidate in project.candidates()):
        ruling = project.license(model)
        print(f"{model}: {ruling.outcome.replace('_', ' ')}")
        try:
            fit = freehold.fit(model, context_tokens=1024)
        except (
            freehold.FreeholdError
        ) as error:  # an encoder, say, of which no parts are known before it is here
            print(f"  memory not known yet: {error}")
        else:
            print(f"  {'fits' if fit.fits else 'does not fit'}: {fit.total_bytes / 2**30:.2f} GiB")

    # How many held-out items does my margin need?
    print(freehold.power(project.config.task.margin).sentence)

    # What would go wrong? Nothing is trained or paid for yet.
    prepared = project.rehearse()
    for finding in prepared.preflight.failed:
        print(f"in the way: {finding.text}")

    # The journey itself. Stopped, the same call goes on from there.
    migration = project.migrate()
    print(f"report: {migration.written.html}")
    if migration.best is None:
        return None
    if migration.best.comparison is not None:
        compared = migration.best.comparison
        print(f"incumbent {compared.incumbent_mean:.1%}, candidate {compared.candidate_mean:.1%}")
    verdict = migration.best.verdict
    if verdict is not None:
        print(f"verdict: {verdict.outcome}: {verdict.reasons[0].text}")
    return verdict


if __name__ == "__main__":
    found = journey(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    sys.exit(1 if found is None else found.exit_code)
