import pytest

MODEL = "Qwen/Qwen3-8B"


def test_a_model_has_its_rank_and_its_memory(freehold):
    found = freehold("assess", MODEL, "--machine", "L4", "--json").json
    assert [(row["model"], row["outcome"]) for row in found["rows"]] == [(MODEL, "shortlisted")]
    assert found["machine"] == "L4"
    shown = freehold("assess", MODEL, "--machine", "L4")
    assert shown.code == 0
    assert f"  1 {MODEL}" in shown.out
    assert f'models = ["{MODEL}"]' in shown.out


def test_the_shortlist_is_short_and_each_row_has_its_reason(freehold):
    shown = freehold("assess", "--machine", "L4", "--task", "text")
    ranks = [line for line in shown.out.splitlines() if line[:3].strip().isdigit()]
    assert len(ranks) == 7 and "task: free text, as stated" in shown.out
    assert shown.out.count("in vLLM") == 7 and "more on the shortlist" in shown.err
    everything = freehold("assess", "--machine", "L4", "--task", "text", "--all").out
    assert len([line for line in everything.splitlines() if line[:3].strip().isdigit()]) > 20
    assert "memory: needs" in everything


def test_what_is_too_slow_is_left_out_with_the_limit(freehold):
    ran = freehold("assess", "google/gemma-3-27b-it", "--machine", "L4", "--min-tokens-per-second", "500")
    assert ran.code == 1 and "tokens/s, 500 wanted" in ran.out and "wanted: 500 tokens/s at least" in ran.out
    assert "'labels', 'extraction', 'text'" in freehold("assess", "--task", "poems").err


def test_no_model_left_is_exit_code_1_with_the_reason(freehold):
    ran = freehold("assess", MODEL, "--machine", "L4", "--context", "40000000")
    assert ran.code == 1
    assert "no model is left" in ran.out


def test_the_first_of_the_list_are_written_into_the_project(freehold, project):
    ran = freehold("assess", MODEL, "--machine", "L4", "--write", "1")
    assert ran.code == 0, ran.err
    assert f'models = ["{MODEL}"]' in (project / "freehold.toml").read_text()
    assert f"wrote the candidates of freehold.toml: {MODEL}" in ran.err.replace(f"{project}/", "")


def test_mistakes(refused, freehold):
    refused(
        "assess",
        "--machine",
        "Qfoo",
        message="accelerator Qfoo is not in the catalog",
        hint="--machine FILE.toml",
    )
    refused("assess", "--write", "1", message="freehold.toml: no such file", hint="freehold init")
    assert "write 2.5 or 2-3.5" in freehold("assess", "--usd-per-hour", "x").err


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_the_terminal(freehold, project, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = freehold("assess", "--machine", "L4", "--all").out
    lines = shown.partition("\n[candidates]")[0].splitlines()
    # A name longer than its column pushes its row to the right.
    assert max(len(line) for line in lines if max(map(len, line.split()), default=0) <= 40) <= columns


@pytest.mark.parametrize(
    "arguments",
    [
        ("assess", MODEL, "--machine", "L4"),
        ("quants", MODEL, "--machine", "L4"),
        ("catalog", "list", "gemma"),
        ("catalog", "show", MODEL),
    ],
)
def test_asking_leaves_no_state_folder_behind(freehold, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert freehold(*arguments).code in (0, 1)
    assert not (tmp_path / ".freehold").exists()


def test_an_order_that_is_not_known_lists_those_that_are(freehold):
    said = freehold("assess", "--rank-by", "price").err
    assert all(name in said for name in ("prior", "size", "speed", "memory"))
