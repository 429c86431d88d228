"""Templates said in Ollama's language render what the model's own does, or are not said at all."""

import re

import jinja2.sandbox
import pytest

from freehold.training.ollama_template import go_template, infer_pieces, modelfile

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WITH_DEFAULT = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    + CHATML
)
GEMMA = (
    "<bos>{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set first = '' %}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ first if loop.first else '' }}{{ m['content'] }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
NUMBERED = CHATML.replace("m['content']", "(loop.index|string + m['content'])")
FORGETTING = CHATML.replace("m['content']", "(m['content'] if loop.last or m['role'] != 'assistant' else '')")
REFUSING = "{{ raise_exception('no') }}"


def renderer(text):
    compiled = jinja2.sandbox.ImmutableSandboxedEnvironment().from_string(text)

    def refuse(message):
        raise ValueError(message)

    return lambda chat, asked: compiled.render(
        messages=chat, add_generation_prompt=asked, raise_exception=refuse
    )


def go(template, chat):
    """The few statements of Go's text/template that are written, carried out."""
    strings = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}

    def run(part, message):
        text, taking, taken = "", [True], [False]
        for literal, code in re.findall(r"([^{]*)(?:\{\{ (.*?) \}\}|$)", part):
            text += literal if all(taking) else ""
            if code.startswith('"'):
                said = re.sub(r'\\[n"\\]', lambda found: strings[found[0]], code[1:-1])
                text += said if all(taking) else ""
            elif match := re.fullmatch(r'(else )?if eq \.Role "(\w+)"', code):
                holds = message["role"] == match[2]
                if match[1]:
                    taking[-1], taken[-1] = holds and not taken[-1], holds or taken[-1]
                else:
                    taking.append(holds)
                    taken.append(holds)
            elif code.startswith("if not"):
                taking.append(chat[0]["role"] != "system")
                taken.append(True)
            elif code == "end":
                taking.pop()
                taken.pop()
            elif code == ".Content":
                text += message["content"] if all(taking) else ""
        return text

    before, _, rest = template.partition("{{ range .Messages }}")
    body, _, after = rest.partition("{{ end }}{{ end }}")
    return run(before, None) + "".join(run(body + "{{ end }}", one) for one in chat) + run(after, None)


CHATS = [
    [{"role": "user", "content": 'say "x" {{ }} \\n'}],
    [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
    [{"role": r, "content": c} for r, c in (("user", "1"), ("assistant", "2"), ("user", "3"))],
]


@pytest.mark.parametrize(
    "text", [CHATML, WITH_DEFAULT, GEMMA], ids=["plain", "default system", "system in the question"]
)
@pytest.mark.parametrize("chat", CHATS)
def test_simple_templates_are_said_to_the_letter(text, chat):
    render = renderer(text)
    pieces = infer_pieces(render)
    assert pieces is not None
    assert pieces.render(chat, True) == render(chat, True)
    assert go(go_template(pieces), chat) == render(chat, True)


@pytest.mark.parametrize(
    "text", [NUMBERED, FORGETTING, REFUSING], ids=["numbers messages", "forgets answers", "refuses"]
)
def test_others_are_left_alone(text):
    assert infer_pieces(renderer(text)) is None


def test_a_modelfile_names_base_adapter_and_stop():
    text = modelfile("./b.gguf", adapter="./a.gguf", template="T", stops=("<|im_end|>",), context=1024)
    assert text.splitlines() == [
        "FROM ./b.gguf", "ADAPTER ./a.gguf", 'TEMPLATE """T"""', 'PARAMETER stop "<|im_end|>"',
        "PARAMETER num_ctx 1024", "PARAMETER temperature 0",
    ]  # fmt: skip
