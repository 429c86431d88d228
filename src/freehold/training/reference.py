"""What the trainer's model makes of prompts and answers: token ids, log-probabilities, most likely tokens.

A child process (``python -m freehold.training.reference``: a `ReferenceJob` on stdin, a list of `ReferenceScores` on
stdout), so that the model's memory is given back when it is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import TrainingError
from freehold.training import base
from freehold.training.artefacts import TEMPLATE
from freehold.training.formatting import plain_message
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message
from freehold.types.model import Weights
from freehold.types.record import Record


class ReferenceQuery(Record, frozen=True, kw_only=True):
    """A prompt and an answer to judge. `answer_ids` are the answer's tokens; None where only text is known."""

    id: str
    messages: tuple[Message, ...]
    tools: list[dict[str, Any]] | None = None
    answer_ids: tuple[int, ...] | None = None
    answer_text: str = ""


class ReferenceJob(Record, frozen=True, kw_only=True):
    """All that the child process needs. `adapter_path` is the folder with the PEFT adapter."""

    weights: Weights
    adapter_path: str | None
    queries: tuple[ReferenceQuery, ...]
    threads: int | None = None
    max_tokens: int | None = None
    """With a limit, the trainer's model also answers by itself, greedily, at most this many tokens."""


class ReferenceScores(Record, frozen=True, kw_only=True):
    """The trainer's side of one `ReferenceQuery`.

    `answer_ids` are the answer's, without a token that ends the turn. `logprobs` and `best_ids` are one per
    answer token, given the prompt and the tokens before;
    `base_logprobs` the same without the adapter (empty when there is none). `ends` says whether an
    end-of-turn token is the most likely one after the answer. `own_text` is the greedy answer of the trainer's
    model itself (None where it was not asked for one).
    """

    id: str
    prompt_ids: tuple[int, ...]
    prompt_tokens: tuple[str, ...]
    bos_id: int | None
    answer_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    base_logprobs: tuple[float, ...]
    best_ids: tuple[int, ...]
    ends: bool
    own_text: str | None = None


def judge(job: ReferenceJob) -> list[ReferenceScores]:
    """Run the child process. Raises `MissingExtraError`, and `TrainingError` with what the child said last."""
    base.require()
    done = subprocess.run(
        [sys.executable, "-m", "freehold.training.reference"],
        input=msgspec.json.encode(job),
        capture_output=True,
        check=False,
        # A thread that spins at a barrier takes the processor from the one it waits for when other work runs here.
        env={"OMP_WAIT_POLICY": "passive", **os.environ},
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise TrainingError(f"the trainer's model could not be asked: {said[-1] if said else 'no word'}")
    return msgspec.json.decode(done.stdout, type=list[ReferenceScores])


def _judge(job: ReferenceJob) -> list[ReferenceScores]:
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    loaded = base.load(job.weights, FinetuneConfig())
    model = loaded.model
    # Whole prompts, one at a time, need none of training's packing.
    model.set_attn_implementation("sdpa")
    if job.adapter_path is not None:
        from peft import PeftModel

        template = Path(job.adapter_path) / TEMPLATE
        if template.is_file():  # the one that was trained with
            loaded.tokenizer.chat_template = template.read_text(encoding="utf-8")

        model = PeftModel.from_pretrained(model, job.adapter_path)
        model.to(loaded.dtype)
    model.eval()
    with torch.inference_mode():
        return [
            _scores(loaded, model, query, has_adapter=job.adapter_path is not None, max_tokens=job.max_tokens)
            for query in job.queries
        ]


def _scores(
    loaded: base.Base, model: Any, query: ReferenceQuery, *, has_adapter: bool, max_tokens: int | None
) -> ReferenceScores:
    import torch

    tokenizer = loaded.tokenizer
    text = tokenizer.apply_chat_template(
        [plain_message(message) for message in query.messages],
        tools=query.tools,
        tokenize=False,
        add_generation_prompt=True,
    )
    prompt = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    answer = (
        list(query.answer_ids)
        if query.answer_ids is not None
        else list(tokenizer(query.answer_text, add_special_tokens=False)["input_ids"])
    )
    end_ids = _end_ids(tokenizer, model)
    if answer and answer[-1] in end_ids:  # engines may count the token that ends the turn to the answer
        answer.pop()
    ids = torch.tensor([prompt + answer], device=loaded.device)

    def logprobs() -> torch.Tensor:
        """Log-probabilities at the positions that predict the answer and what follows it."""
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 :]
        return torch.log_softmax(logits.float(), dim=-1)

    def of_answer(found: torch.Tensor) -> tuple[float, ...]:
        return tuple(found[at, token].item() for at, token in enumerate(answer))

    found = logprobs()
    best = found.argmax(dim=-1).tolist()
    without: tuple[float, ...] = ()
    if has_adapter:
        with model.disable_adapter():
            without = of_answer(logprobs())
    own = None
    if max_tokens is not None:
        own = answer
        if best[: len(answer)] != answer or not (best[-1] in end_ids or len(answer) >= max_tokens):
            own = _greedy(loaded, model, prompt, end_ids, max_tokens)
    return ReferenceScores(
        id=query.id,
        prompt_ids=tuple(prompt),
        prompt_tokens=tuple(tokenizer.convert_ids_to_tokens(prompt)),
        bos_id=tokenizer.bos_token_id,
        answer_ids=tuple(answer),
        logprobs=of_answer(found),
        base_logprobs=without,
        best_ids=tuple(best[: len(answer)]),
        ends=best[-1] in end_ids,
        own_text=None if own is None else tokenizer.decode(own, skip_special_tokens=True),
    )


def _greedy(
    loaded: base.Base, model: Any, prompt: list[int], end_ids: set[int], max_tokens: int
) -> list[int]:
    """Greedy decoding until the turn ends or the limit is reached."""
    import torch

    ids = torch.tensor([prompt], device=loaded.device)
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=max_tokens,
        do_sample=False,
        eos_token_id=sorted(end_ids),
        pad_token_id=min(end_ids),
    )[0, len(prompt) :].tolist()
    if made and made[-1] in end_ids:
        made.pop()
    return list(made)


def _end_ids(tokenizer: Any, model: Any) -> set[int]:
    """Tokens that end a turn: what the model's generation configuration says, and the usual names."""
    found = {tokenizer.eos_token_id}
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found.update(configured if isinstance(configured, list) else [configured])
    for name in ("<end_of_turn>", "<|im_end|>", "<|eot_id|>", "<|end|>"):
        found.add(tokenizer.get_vocab().get(name))
    found.discard(None)
    return found


if __name__ == "__main__":
    sys.stdout.buffer.write(
        msgspec.json.encode(_judge(msgspec.json.decode(sys.stdin.buffer.read(), type=ReferenceJob)))
    )
