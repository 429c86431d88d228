import tomllib

import pytest

from freehold.errors import ConfigError, InputError
from freehold.types.config import UseProfile, parse
from freehold.workflows.license.use import read_use, use_table, with_settings, write_use


def test_settings_are_typed_and_checked():
    use = with_settings(UseProfile(), ("commercial=true", "mau_product=120_000", "regions=EU, US", "seat=DE"))
    assert (use.commercial, use.mau_product, use.regions, use.seat) == (True, 120_000, ("EU", "US"), "DE")
    with pytest.raises(ConfigError, match="unknown key comercial") as caught:
        with_settings(use, ("comercial=true",))
    assert caught.value.hint == "did you mean commercial?"
    with pytest.raises(ConfigError):
        with_settings(use, ("mode=somehow",))


def test_a_profile_file_may_hold_the_table_or_the_keys(tmp_path):
    path = tmp_path / "use.toml"
    path.write_text("[use]\ncommercial = true\n")
    assert read_use(path).commercial is True
    path.write_text("licensee_region = 'FR'\n")
    assert read_use(path).seat == "FR"
    path.write_text("comercial = true\n")
    with pytest.raises(ConfigError, match=r"use\.toml: unknown key comercial"):
        read_use(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_use(tmp_path / "none.toml")


def test_the_table_is_put_in_place_and_the_rest_stays(tmp_path):
    path = tmp_path / "freehold.toml"
    path.write_text('[app]\nname = "a"\n\n[use]\ncommercial = false\n\n[task]\nmargin = 0.03\n')
    write_use(path, UseProfile(commercial=True, mau_product=5_000, regions=("EU",)))
    config = parse(path.read_text())
    assert (config.use.commercial, config.use.mau_product, config.task.margin) == (True, 5_000, 0.03)
    assert path.read_text().count("[use]") == 1
    fresh = tmp_path / "new" / "freehold.toml"
    fresh.parent.mkdir()
    write_use(fresh, UseProfile(seat="DE"))
    assert parse(fresh.read_text()).use.seat == "DE"


def test_the_table_round_trips():
    use = UseProfile(mode="relay", price='say "free"', modalities_used=("text",), commercial=False)
    assert tomllib.loads(use_table(use))["use"]["price"] == 'say "free"'
