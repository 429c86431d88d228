"""The rules, in the order they are asked. One file a rule; adding a rule is adding a line here."""

from __future__ import annotations

from freehold.licensing.rules.base import LicenseRule
from freehold.licensing.rules.business import BusinessGates
from freehold.licensing.rules.conflict import Contradictions
from freehold.licensing.rules.domain import Domains
from freehold.licensing.rules.duty import Duties
from freehold.licensing.rules.modification import Modifications
from freehold.licensing.rules.note import Notes
from freehold.licensing.rules.outputs import OutputTraining
from freehold.licensing.rules.profile import Profile
from freehold.licensing.rules.purpose import GrantedPurpose
from freehold.licensing.rules.region import Regions
from freehold.licensing.rules.relicense import Relicensing
from freehold.licensing.rules.termination import Termination
from freehold.licensing.rules.threshold import Thresholds
from freehold.licensing.rules.unknown import UnknownLicense

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
