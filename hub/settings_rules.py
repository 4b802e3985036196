"""Which values of settings are legal beyond their types, and where they are read from; the fields: ``hub.settings``."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hub.domain.mail import read_address

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
CONFIG_VARIABLE = "HUB_CONFIG"
_ORIGIN = re.compile(r"\*|null|https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::(?:[0-9]+|\*))?")


class SettingsRules(BaseSettings):
    """What its one subclass is checked by; each rule raises ValueError saying what to write instead."""

    model_config = SettingsConfigDict(env_prefix="HUB_", frozen=True, extra="ignore", hide_input_in_errors=True)

    @field_validator(
        "base_url",
        "source_base_url",
        "source_base_url_r4",
        "source_base_url_r4b",
        "source_base_url_r5",
        check_fields=False,
    )
    @classmethod
    def _absolute_without_trailing_slash(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must be an absolute http or https URL")
        return url.rstrip("/")

    @field_validator("topics_dir", "valuesets_dir", mode="before", check_fields=False)
    @classmethod
    def _empty_is_none(cls, folder: Any) -> Any:
        return folder or None

    @field_validator("topics_dir", "valuesets_dir", check_fields=False)
    @classmethod
    def _existing_folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError("is not a folder")
        return folder

    @field_validator("token", check_fields=False)
    @classmethod
    def _tokens_that_fit_a_header(cls, token: SecretStr) -> SecretStr:
        if not all(
            text.isascii() and text.isprintable() and " " not in text for text in listed(token.get_secret_value())
        ):
            raise ValueError("tokens are printable ASCII without spaces")
        return token

    @field_validator("smtp_host", check_fields=False)
    @classmethod
    def _bare_host(cls, host: str) -> str:
        if host and not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]+", host):
            raise ValueError("must be a host name or an address, without port and brackets")
        return host

    @field_validator("smtp_tls", check_fields=False)
    @classmethod
    def _plain_on_loopback_only(cls, tls: str, info: ValidationInfo) -> str:
        host = info.data.get("smtp_host", "")
        if host and tls == "off" and not _is_loopback(host):
            raise ValueError(f"off is for a mail server on this machine only; {host} is none: use starttls or tls")
        return tls

    @field_validator("smtp_password", check_fields=False)
    @classmethod
    def _belongs_to_a_user(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(password.get_secret_value()) != bool(info.data.get("smtp_user")):
            raise ValueError("HUB_SMTP_USER and HUB_SMTP_PASSWORD belong together: set both or none")
        return password

    @field_validator("email_from", check_fields=False)
    @classmethod
    def _one_address(cls, address: str, info: ValidationInfo) -> str:
        if address:
            return read_address(address)
        if info.data.get("smtp_host"):
            raise ValueError("say which address mails come from, such as hub@example.org")
        return address

    @field_validator("message_event", check_fields=False)
    @classmethod
    def _system_and_code(cls, event: str) -> str:
        if event and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!-{}~]+\|[!-{}~]+", event):
            raise ValueError("must be system|code, such as http://example.org/events|notification")
        return event

    @field_validator("allowed_origins", check_fields=False)
    @classmethod
    def _origins_as_browsers_write_them(cls, written: str) -> str:
        wrong = [each for each in listed(written) if not _ORIGIN.fullmatch(each)]
        if wrong:
            raise ValueError(f"{wrong[0]} is no origin; write https://host, with :port or :* if need be, null or *")
        return written

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        dotenv = DotEnvSettingsSource(settings_cls, env_file=".env", env_prefix="HUB_")
        toml = TomlConfigSettingsSource(settings_cls, toml_file=os.environ.get(CONFIG_VARIABLE))
        return init_settings, env_settings, dotenv, toml


def listed(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK
