def test_each_quantization_has_its_bytes_and_one_is_taken(freehold):
    found = freehold("quants", "google/gemma-3-270m", "--machine", "L4", "--json").json
    names = [row["quantization"] for row in found["rows"]]
    assert {"Q4_K_M", "Q8_0"} <= set(names)
    assert found["take"] in names
    shown = freehold("quants", "google/gemma-3-270m", "--machine", "L4").out
    assert f"\ntake {found['take']}\n" in shown
    assert f"\n→ {found['take']} " in shown


def test_mistakes(refused):
    refused("quants", "org/gone", message="neither in the catalog nor here", hint="catalog sync org/gone")
