"""What a project answers before anything is trained: which models it may use, can run, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from freehold.api.calling import Amount, FilePath, Use, blocking, decimal, low_high, token_price, use_of
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.types.choosing import Assessment, Quants
    from freehold.types.config import ProjectConfig
    from freehold.types.cost import Cost
    from freehold.types.license import Ruling
    from freehold.workflows.incumbent.retirements import RetirementNotice
    from freehold.workflows.journey.methods import Candidate
    from freehold.workflows.project import Project


class ProjectQuestions:
    """A project that is open, and the questions that choose among models."""

    def __init__(self, opened: Project) -> None:
        self._opened = opened

    def __repr__(self) -> str:
        return f"Project({self.name!r}, root={str(self.root)!r})"

    @property
    def opened(self) -> Project:
        """The project as workflows take it, for what this class has no method for. Not part of what is promised."""
        return self._opened

    @property
    def root(self) -> Path:
        """The folder of `freehold.toml`."""
        return self._opened.root

    @property
    def name(self) -> str:
        """The application's name."""
        return self._opened.config.app.name

    @property
    def config(self) -> ProjectConfig:
        """What `freehold.toml` says."""
        return self._opened.config

    def candidates(self) -> tuple[Candidate, ...]:
        """The models that `freehold.toml` names, each with the way it is made; the usual one where it names none."""
        from freehold.workflows.journey.methods import candidates

        return candidates(self.config)

    def retirements(self, *models: str, within_days: int | None = None) -> tuple[RetirementNotice, ...]:
        """When rented models are shut down, soonest first (default: the incumbent). Each date has its source."""
        from freehold.workflows.incumbent.retirements import notices

        incumbent = self.config.incumbent
        if not models and incumbent is not None and within_days is None:
            models = (incumbent.model,)
        return tuple(notices(models, within_days=within_days))

    def license(
        self,
        model: str | None = None,
        *,
        use: Use = None,
        lineage: FilePath | None = None,
        declared: str | None = None,
    ) -> Ruling:
        """May I use this model for this, and what must I do?

        `model` is an id, or `lineage` a file that says what a model is made of (a lineage, a manifest, a model card, a
        GGUF). `use` are keys of `[use]` (``{"mode": "hosted_service", "commercial": True}``); without it the project's
        count. `declared` is the licence of a model that the catalog does not know. What is not known is ``unclear``,
        never ``allowed``. Raises `UsageError`, `ConfigError` for a wrong key of `use`.
        """
        from freehold.workflows.license.lineage import read_lineage
        from freehold.workflows.license.rule import lineage_of_model, rule_asked

        profile = use_of(use, self._opened)
        if lineage is None:
            if model is None:
                raise UsageError("nothing to rule on", hint="name a model, or a lineage file")
            made_of = lineage_of_model(model, declared=declared)
        else:
            if model is not None or declared is not None:
                raise UsageError("a lineage file says model and licence itself", hint="leave both out")
            read = read_lineage(Path(lineage), profile)
            made_of = read.lineage
            profile = read.use if read.use is not None and use is None else profile
        return rule_asked(made_of, self.config, profile)

    @blocking
    def assess(self, *models: str, machine: str | None = None) -> Assessment:
        """Which open models may I use, can I run, and do what I need? All of the catalog, unless models are named."""
        from freehold.workflows.choose.assess import assess

        return assess(self._opened, machine_spec=machine, models=models)

    @blocking
    def quantizations(
        self, model: str, *, context_tokens: int = 4096, concurrency: int = 1, machine: str | None = None
    ) -> Quants:
        """The quantizations of a model: bytes, whether each fits, how fast it is, and which to take."""
        from freehold.types.machine import Workload
        from freehold.workflows.choose.quants import quants
        from freehold.workflows.fit.learned import all_measured
        from freehold.workflows.fit.machine import find_machine
        from freehold.workflows.prove.quantizations import latest

        return quants(
            model,
            machine=find_machine(machine, self._opened.settings, measure=True),
            workload=Workload(context_tokens=context_tokens, concurrency=concurrency),
            settings=self._opened.settings,
            speeds=all_measured(self._opened) if machine is None else (),
            losses=latest(self._opened, model),
        )

    @blocking
    def cost(
        self,
        model: str | None = None,
        *,
        incumbent: str | None = None,
        machine: str | None = None,
        requests_per_month: Amount | None = None,
        prompt_tokens: Amount | None = None,
        completion_tokens: Amount | None = None,
        usd_per_hour: Amount | tuple[Amount, Amount] | None = None,
        incumbent_price: tuple[Amount, Amount] | None = None,
    ) -> Cost:
        """Leave or stay, on cost alone?

        Tokens are those of one request; what is not stated comes from the project and its traces. `usd_per_hour` is
        what the machine costs (or the lowest and the highest), `incumbent_price` dollars per million prompt and
        completion tokens. Raises `UsageError` for what is not known: it is asked for, never guessed.
        """
        from freehold.workflows.choose.cost import Hosting, MachinePrice, cost
        from freehold.workflows.choose.traffic import StatedTraffic

        return cost(
            self._opened,
            Hosting(model, machine=machine, price=MachinePrice(low_high(usd_per_hour))),
            incumbent=incumbent,
            stated=StatedTraffic(
                decimal(requests_per_month), decimal(prompt_tokens), decimal(completion_tokens)
            ),
            flat=token_price(incumbent_price),
        )
