"""What each kind of duty is called in plain words."""

from __future__ import annotations

KEY_TITLES: dict[str, str] = {
    "license_copy": "Give recipients a copy of the licence",
    "notice_file": "Ship the Notice file",
    "display_attribution": "Display the phrase prominently",
    "ui_display_model_name": "Display the model name in the user interface",
    "name_prefix": "Begin the model's name with the word",
    "state_changes": "State that and what was changed",
    "pass_through_use_restrictions": "Pass the use restrictions on as an enforceable provision",
    "aup_compliance": "Stay within the acceptable-use policy",
    "retain_notices": "Keep the notices",
    "attribution": "Credit the creator",
    "share_alike": "License adaptations alike",
    "register_before_commercial": "Register before commercial use",
    "public_statement": "Use the sentence in public statements",
    "explanatory_documentation": "Ship documentation of the changes",
    "security_review": "Pass the licensor's security review first",
}
