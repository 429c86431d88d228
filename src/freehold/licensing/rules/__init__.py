"""The rules, in the order they are asked. One class a rule; adding a rule is adding a line here."""

from __future__ import annotations

from freehold.licensing.rules.base import LicenseRule
from freehold.licensing.rules.duty import Contradictions, Duties, Relicensing
from freehold.licensing.rules.grant import (
    BusinessGates,
    Domains,
    GrantedPurpose,
    Modifications,
    Regions,
    Termination,
    Thresholds,
)
from freehold.licensing.rules.origin import Notes, OutputTraining, Profile, UnknownLicense

RULES: tuple[LicenseRule, ...] = (
    Profile(),
    UnknownLicense(),
    GrantedPurpose(),
    Thresholds(),
    Regions(),
    BusinessGates(),
    OutputTraining(),
    Domains(),
    Modifications(),
    Termination(),
    Relicensing(),
    Contradictions(),
    Duties(),
    Notes(),
)
