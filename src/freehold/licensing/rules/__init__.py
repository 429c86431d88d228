"""The rules, in the order they are asked. One file a rule; adding a rule is adding a line here."""

from __future__ import annotations

from freehold.licensing.rules.base import LicenseRule
from freehold.licensing.rules.business import BusinessGates
from freehold.licensing.rules.duty import Duties
from freehold.licensing.rules.outputs import OutputTraining
from freehold.licensing.rules.purpose import GrantedPurpose
from freehold.licensing.rules.region import Regions
from freehold.licensing.rules.threshold import Thresholds
from freehold.licensing.rules.unknown import UnknownLicense

RULES: tuple[LicenseRule, ...] = (
    UnknownLicense(),
    GrantedPurpose(),
    Thresholds(),
    Regions(),
    BusinessGates(),
    OutputTraining(),
    Duties(),
)
