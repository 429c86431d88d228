"""A model without weights for searches: it follows the prompt in plain ways, so that what helps is known beforehand."""

import json

from freehold.prompts.measuring import PromptAnswer
from freehold.prompts.variants import AskedOf
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import Task

SYSTEM = "You sort mail of a shop."
ASKED = AskedOf("org/small", "d1", SYSTEM)
TASK = Task(name="mail", scorer="json_fields", options={})
QUEUES = ("billing", "delivery", "returns")
WORDS = {"billing": "invoice", "delivery": "parcel", "returns": "refund"}


def samples(count, *, prefix="v", system=SYSTEM):
    """Messages about one of three queues, each with words of its own."""
    made = []
    for number in range(count):
        queue = QUEUES[number % 3]
        text = f"{prefix} {number}: my {WORDS[queue]} from week {number} is not what I had hoped it would be"
        messages = (Message(role="user", content=text),)
        if system is not None:
            messages = (Message(role="system", content=system), *messages)
        made.append(
            Sample(
                id=f"{prefix}{number:04}",
                messages=messages,
                gold=json.dumps({"queue": queue, "order": number}),
            )
        )
    return made


class SmallModel:
    """Writes JSON where it is told to (its prompt says "JSON"), else a sentence; the queue is right in `skill` of ten
    answers. What it was asked is in `asked`, in order."""

    def __init__(self, skill=8):
        self.asked = []
        self._skill = skill

    def __call__(self, preparation, some, *, name):
        self.asked += [(preparation.id, one.id) for one in some]
        return [self._answer(preparation, one) for one in some]

    def _answer(self, preparation, sample):
        system = preparation.system if preparation.system is not None else preparation.system_was or ""
        prompt = f"{system} {preparation.reminder or ''}"
        number = int(sample.id[1:])
        right = number % 10 < self._skill
        output, score, reason, format_ok = "It is about a parcel.", 0.0, "not_json: Expecting value", False
        if "JSON" in prompt:
            output = sample.gold if right else '{"queue": "other"}'
            score, reason, format_ok = float(right), None if right else "wrong: queue", True
        return PromptAnswer(sample, output, score, reason, format_ok, len(prompt.split()) + 20)
