"""Made-up requests of the two kinds people migrate first: a label for a message, and fields out of a text.

All requests of a kind start with the same instructions and examples; the answers are short and copy words of their
prompt or repeat a form. That is where prefix caches and guessing ahead pay, and random words would not show it.
"""

from __future__ import annotations

import random
from typing import Any, Literal

Kind = Literal["classification", "extraction"]

LABELS = (
    "card_arrival", "card_lost", "exchange_rate", "cash_withdrawal", "transfer_failed", "transfer_pending",
    "top_up_failed", "refund_missing", "pin_blocked", "identity_check", "account_closing", "fee_question",
)  # fmt: skip
_GOODS = ("lamp", "chair", "desk", "kettle", "jacket", "camera", "bicycle", "carpet", "mirror", "suitcase")
_COLOURS = ("blue", "red", "green", "black", "white", "yellow", "brown", "grey")
_CITIES = ("Bern", "Porto", "Lyon", "Graz", "Turin", "Ghent", "Aarhus", "Malmö", "Kraków", "Seville")
_NAMES = (
    "Ada Lind",
    "Ben Okafor",
    "Chiara Rossi",
    "Dmitri Volkov",
    "Eva Novak",
    "Farid Haddad",
    "Greta Holm",
)
_ASKS = {
    "card_arrival": "When will my new card come? I ordered it {days} days ago.",
    "card_lost": "I left my card in {city} and cannot find it any more.",
    "exchange_rate": "Which rate did you use for my payment in {city}?",
    "cash_withdrawal": "The machine in {city} gave me {days} euros less than I asked for.",
    "transfer_failed": "My transfer to {name} was sent back, why?",
    "transfer_pending": "The transfer to {name} still says pending after {days} days.",
    "top_up_failed": "I tried to top up {days} times and it is refused.",
    "refund_missing": "{name} says the refund was sent {days} days ago, I do not see it.",
    "pin_blocked": "I typed the wrong number {days} times and the card is blocked.",
    "identity_check": "Why do you need my passport again? I sent it from {city}.",
    "account_closing": "Please close my account, I am moving to {city}.",
    "fee_question": "What did I pay {days} euros for last week?",
}
COMPLETION_TOKENS: dict[Kind, int] = {"classification": 12, "extraction": 72}


def forms(kind: Kind, *, count: int = 256, seed: int = 0) -> list[dict[str, Any]]:
    """`count` requests of a kind, the same for the same seed."""
    chance = random.Random(f"{kind} {seed}")
    instructions = _classification(chance) if kind == "classification" else _extraction(chance)
    bodies: list[dict[str, Any]] = []
    for _ in range(count):
        text = _message(chance)[0] if kind == "classification" else _order(chance)[0]
        bodies.append(
            {
                "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": text}],
                "max_tokens": COMPLETION_TOKENS[kind],
                "temperature": 0,
            }
        )
    return bodies


def _classification(chance: random.Random) -> str:
    examples = [f"Message: {text}\nLabel: {label}" for text, label in (_message(chance) for _ in range(12))]
    return (
        "You sort messages of a bank's customers. Answer with one label of this list and nothing else: "
        + ", ".join(LABELS)
        + ".\n\n"
        + "\n\n".join(examples)
    )


def _extraction(chance: random.Random) -> str:
    examples = [f"Text: {text}\nJSON: {answer}" for text, answer in (_order(chance) for _ in range(5))]
    return (
        "You read orders and write their fields as one line of JSON with the keys order_number, customer, city, "
        "item, colour, quantity, in this order and nothing else.\n\n" + "\n\n".join(examples)
    )


def _message(chance: random.Random) -> tuple[str, str]:
    label = chance.choice(LABELS)
    words = {"days": chance.randint(2, 60), "city": chance.choice(_CITIES), "name": chance.choice(_NAMES)}
    return _ASKS[label].format(**words), label


def _order(chance: random.Random) -> tuple[str, str]:
    number, quantity = chance.randint(100_000, 999_999), chance.randint(2, 40)
    name, city = chance.choice(_NAMES), chance.choice(_CITIES)
    colour, item = chance.choice(_COLOURS), chance.choice(_GOODS)
    text = (
        f"Hello, this is {name} from {city}. For order {number} I would like to have {quantity} pieces of the "
        f"{colour} {item}, please send them to the same address as before."
    )
    answer = (
        f'{{"order_number": {number}, "customer": "{name}", "city": "{city}", "item": "{item}", '
        f'"colour": "{colour}", "quantity": {quantity}}}'
    )
    return text, answer
