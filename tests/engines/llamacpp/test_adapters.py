"""Adapters llama.cpp cannot take are refused before it starts."""

import json

import numpy as np
import pytest
from tests.engines.llamacpp.conftest import gguf, with_adapter

from freehold import engines
from freehold.engines.llamacpp import adapters
from freehold.errors import EngineError, InputError
from freehold.hardware.gguf_header import Header, HeaderTensor
from freehold.types.endpoint import AdapterMount

pytest.importorskip("xllamacpp")


def test_an_adapter_for_other_weights_names_both_hashes(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="llama", general__type="adapter")
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(with_adapter(plan, adapter, base_sha256="b" * 64))


def test_an_adapter_for_another_architecture(plan, tmp_path):
    adapter = gguf(tmp_path / "adapter.gguf", general__architecture="gemma3", general__type="adapter")
    with pytest.raises(EngineError, match="for gemma3 models, the base is llama"):
        engines.check(with_adapter(plan, adapter))


def test_an_adapter_folder_needs_one_gguf(plan, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    with pytest.raises(InputError, match="has no GGUF file"):
        engines.check(with_adapter(plan, folder))


def test_a_model_is_no_adapter(plan):
    with pytest.raises(EngineError, match="a model, not an adapter"):
        engines.check(with_adapter(plan, plan.weights_path))


gguf_library = pytest.importorskip("gguf")


BASE = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))


def read(path):
    reader = gguf_library.GGUFReader(str(path))
    alpha = float(reader.get_field("adapter.lora.alpha").contents())
    return alpha, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


def change(path, name):
    """``scale · B·A`` as llama.cpp computes it."""
    alpha, tensors = read(path)
    a, b = tensors[f"{name}.weight.lora_a"], tensors[f"{name}.weight.lora_b"]
    return b @ a * (alpha / a.shape[0])


def base_of(*, width=32, rows=48, layers=2):
    """The header of a base with the layers of these sizes."""
    sizes = {"attn_q": (width, 32), "attn_k": (width, 16), "ffn_down": (rows, width)}
    tensors = tuple(
        HeaderTensor(f"blk.{number}.{name}.weight", dims, "F32", 0)
        for number in range(layers)
        for name, dims in sizes.items()
    )
    return Header("base.gguf", BASE, tensors, 0)


def write(folder, tensors, **config):
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    return folder


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({}, None),
        ({"A": (4, 40)}, "blk.0.ffn_down.weight is 32 × 48 in the base and 32 × 40 in the adapter"),
        ({"B": (30, 4)}, "and 30 × 48 in the adapter"),
        ({"B": (32, 8)}, "has rank 4 and 8 in the halves of blk.0.ffn_down.weight"),
        ({"B": None}, "has only half of blk.0.ffn_down.weight"),
        ({"layers": 0}, "changes blk.0.ffn_down.weight, which the base does not have"),
    ],
)
def test_an_adapter_that_does_not_fit_says_where(tmp_path, damage, says):
    sizes = {"A": (4, 48), "B": (32, 4), **{key: value for key, value in damage.items() if key in "AB"}}
    tensors = {
        f"base_model.model.model.layers.0.mlp.down_proj.lora_{half}.weight": np.ones(size, "float32")
        for half, size in sizes.items()
        if size is not None
    }
    folder = write(tmp_path / "a", tensors, r=4, lora_alpha=8)
    mount = AdapterMount(name="m:x", path=str(folder))
    base = base_of(layers=damage.get("layers", 2))
    if says is None:
        adapters.check_adapter(mount, base, None, tmp_path)
        return
    with pytest.raises(EngineError) as caught:
        adapters.check_adapter(mount, base, None, tmp_path)
    assert says in caught.value.message


def test_values_that_are_no_numbers_are_refused(tmp_path):
    name = "base_model.model.model.layers.0.mlp.down_proj.lora_{}.weight"
    tensors = {
        name.format("A"): np.full((4, 48), np.nan, "float32"),
        name.format("B"): np.ones((32, 4), "float32"),
    }
    folder = write(tmp_path / "a", tensors, r=4)
    with pytest.raises(InputError, match=r"lora_A.weight holds values that are not finite"):
        adapters.check_adapter(AdapterMount(name="m:x", path=str(folder)), base_of(), None, tmp_path)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("rslora", [False, True])
def test_it_is_what_the_trainer_would_have_written(tmp_path, rslora):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    from freehold.training.export import write_gguf

    torch.manual_seed(1)
    shape = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=64,
    )  # fmt: skip
    wanted = library.LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "k_proj", "down_proj"], use_rslora=rslora,
        init_lora_weights=False,
    )  # fmt: skip
    model = library.get_peft_model(transformers.LlamaForCausalLM(shape), wanted)
    model.save_pretrained(tmp_path / "theirs")
    write_gguf(
        tmp_path / "trainers.gguf",
        model,
        library.get_peft_model_state_dict(model),
        architecture="llama",
        name="x",
    )
    mount = AdapterMount(name="m:x", path=str(tmp_path / "theirs"))
    made = adapters.adapter_file(mount, BASE, tmp_path)
    (one, ours), (two, trainers) = read(made), read(tmp_path / "trainers.gguf")
    assert one == pytest.approx(two)
    assert ours.keys() == trainers.keys() and len(ours) == 12
    for name, values in ours.items():
        assert np.allclose(values, trainers[name], atol=1e-6), name
    adapters.check_adapter(mount, base_of(), None, tmp_path)
    before = made.stat().st_mtime_ns
    assert adapters.adapter_file(mount, BASE, tmp_path) == made and made.stat().st_mtime_ns == before, (
        "made once"
    )
    same = AdapterMount(name="m:x", path=str(tmp_path / "theirs" / "adapter_model.safetensors"))
    assert adapters.adapter_file(same, BASE, tmp_path) == made


def test_ranks_and_alphas_of_single_layers_are_kept(tmp_path):
    random = np.random.default_rng(3)
    layer = "base_model.model.model.layers.{}.mlp.down_proj.lora_{}.weight"
    tensors = {
        layer.format(number, half): random.normal(size=size).astype("float32")
        for number, rank in ((0, 4), (1, 2))
        for half, size in (("A", (rank, 48)), ("B", (32, rank)))
    }
    folder = write(
        tmp_path / "a", tensors, r=4, lora_alpha=8, rank_pattern={"layers.1.mlp.down_proj": 2},
        alpha_pattern={"layers.1.mlp.down_proj": 10},
    )  # fmt: skip
    made = adapters.convert_adapter(folder, BASE, tmp_path)
    for number, scale in ((0, 8 / 4), (1, 10 / 2)):
        expected = tensors[layer.format(number, "B")] @ tensors[layer.format(number, "A")] * scale
        assert np.allclose(change(made, f"blk.{number}.ffn_down"), expected, rtol=1e-5)


def test_bfloat16_is_read(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    names = [f"base_model.model.model.layers.0.mlp.up_proj.lora_{half}.weight" for half in "AB"]
    header = {
        names[0]: {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]},
        names[1]: {"dtype": "F16", "shape": [2, 1], "data_offsets": [4, 8]},
    }
    text = json.dumps(header).encode()
    data = np.array([1.5, -2.0], "float32").view("<u4") >> 16
    body = data.astype("<u2").tobytes() + np.array([0.5, 4.0], "<f2").tobytes()
    (folder / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    (folder / "adapter_config.json").write_text('{"r": 1, "lora_alpha": 1}')
    made = adapters.convert_adapter(folder, BASE, tmp_path)
    assert change(made, "blk.0.ffn_up").tolist() == [[0.75, -1.0], [6.0, -8.0]]


@pytest.mark.parametrize(
    ("config", "tensor", "says"),
    [
        ({"use_dora": True}, "layers.0.mlp.up_proj.lora_A.weight", "DoRA"),
        ({"bias": "all"}, "layers.0.mlp.up_proj.lora_A.weight", "bias all"),
        ({"peft_type": "IA3"}, "layers.0.mlp.up_proj.lora_A.weight", "IA3"),
        ({}, "embed_tokens.lora_embedding_A", "cannot attach"),
        ({}, "layers.0.something.lora_A.weight", "cannot attach"),
    ],
)
def test_what_llamacpp_cannot_serve_is_refused_with_a_way_out(tmp_path, config, tensor, says):
    folder = write(
        tmp_path / "a", {f"base_model.model.model.{tensor}": np.zeros((1, 2), "float32")}, r=1, **config
    )
    with pytest.raises(EngineError, match=says) as caught:
        adapters.convert_adapter(folder, BASE, tmp_path)
    assert "merge" in caught.value.hint
    assert not list(tmp_path.rglob("*.gguf"))


def test_damaged_files_are_one_line(tmp_path):
    folder = write(tmp_path / "a", {"base_model.model.x.lora_A.weight": np.zeros((1, 2), "float32")}, r=1)
    (folder / "adapter_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(InputError, match="safetensors"):
        adapters.convert_adapter(folder, BASE, tmp_path)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match=r"adapter_config\.json"):
        adapters.convert_adapter(folder, BASE, tmp_path)
