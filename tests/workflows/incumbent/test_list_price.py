from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.types.trace import Usage
from freehold.workflows.incumbent.list_price import asking_cost

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")

AT = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)


def test_requests_are_added_up_at_the_makers_price():
    # gpt-4o: $2.50 a million tokens in, $10 out.
    assert asking_cost("gpt-4o", [MILLION, None, MILLION], at=AT) == Decimal("7")


def test_cached_prompt_tokens_are_cheaper():
    cached = Usage(prompt_tokens=1_000_000, completion_tokens=100_000, cached_prompt_tokens=1_000_000)
    assert asking_cost("gpt-4o", [cached], at=AT) < asking_cost("gpt-4o", [MILLION], at=AT)


def test_what_is_not_known_has_no_cost():
    assert asking_cost("my-own-model", [MILLION]) is None
    assert asking_cost("gpt-4o", []) is None
    assert asking_cost("gpt-4o", [None, Usage(completion_tokens=5)]) is None
