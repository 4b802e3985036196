"""docs/settings.md lists every setting, with the default and the meaning that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from hub.settings import DEV_DEFAULTS, Settings

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| `HUB_")]


def variable(name: str) -> str:
    return f"HUB_{name.upper()}"


def written(value: object) -> str:
    """A value as somebody would write it into the environment; nothing for what is empty."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def row(name: str) -> str:
    field = Settings.model_fields[name]
    default = written(field.default)
    return f"| `{variable(name)}` | {f'`{default}`' if default else 'empty'} | {field.description} |"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_in_the_table_as_the_code_has_it(name: str) -> None:
    assert row(name) in ROWS


def test_the_table_has_no_setting_that_the_code_does_not_have() -> None:
    listed = [line.split("`")[1] for line in ROWS]
    assert sorted(listed) == sorted(variable(name) for name in Settings.model_fields)


def test_what_development_mode_implies_is_listed() -> None:
    for name, value in DEV_DEFAULTS.items():
        assert f"`{variable(name)}={written(value)}`" in TEXT
