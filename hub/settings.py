"""Every setting of the hub: name, default, unit, meaning.

Read from ``HUB_*`` environment variables, a ``.env`` file, or the TOML file that ``HUB_CONFIG`` names, in that order of
precedence. Bad values stop the start, all reported together. ``docs/settings.md`` lists the same table; a test keeps
it complete.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError

from hub.domain.delivery import RetryPolicy
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from hub.settings_rules import CONFIG_VARIABLE, LOOPBACK, SettingsRules, listed


class Settings(SettingsRules):
    """One frozen record, made once at the start."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    base_url: str = Field("", description="Public URL of the hub, as clients see it. Empty: http://host:port.")
    source_base_url: str = Field(
        "",
        description="Base URL of the system of record: references below it equal relative ones. Empty: the own base.",
    )
    source_base_url_r4: str = Field("", description="The same for the base /fhir/r4 alone.")
    source_base_url_r4b: str = Field("", description="The same for the base /fhir/r4b alone.")
    source_base_url_r5: str = Field("", description="The same for the base /fhir/r5 alone.")
    redis_url: str = Field(
        "", description="redis(s)://, unix://, redis(s)+sentinel:// URL. Empty: the embedded server."
    )
    redis_server: str = Field(
        "", description="Path of the embedded server's binary. Empty: from PATH, else the bundled one."
    )
    data_dir: Path = Field(
        Path("hub-data"), description="Folder of the embedded server's data and of the hub's own name."
    )
    topics_dir: Path | None = Field(None, description="Folder with further SubscriptionTopics (R5 or R6 ballot JSON).")
    valuesets_dir: Path | None = Field(
        None,
        description="Folder with ValueSets (JSON) for `:in`, `:not-in` and `memberOf()`; read once at the start.",
    )
    draft_topics: bool = Field(False, description="Let Subscriptions use topics whose status is draft.")
    durability: Literal["relaxed", "local", "replicated"] = Field(
        "local",
        description="What a 2xx means: `local` = on disk, `relaxed` = soon on disk, `replicated` = on replicas too.",
    )
    replicas: int = Field(1, ge=1, le=8, description="Replicas that must have received it at level `replicated`.")
    replica_timeout_ms: int = Field(1000, ge=10, le=8000, description="Milliseconds to say so in, else 503.")
    accept_unverified_redis: bool = Field(
        False, description="Start although Redis's durability settings cannot be verified."
    )
    token: SecretStr = Field(SecretStr(""), description="Bearer tokens that are let in, separated by commas.")
    allow_private_endpoints: bool = Field(False, description="Let notifications go to private and loopback addresses.")
    allow_http_endpoints: bool = Field(False, description="Let notifications go to endpoints without TLS.")
    egress_allow: str = Field(
        "",
        description="Hosts and CIDR ranges that notifications may go to, separated by commas. Empty: every public one.",
    )
    egress_proxy: str = Field(
        "",
        description="Proxy (`http://host:port`) through which notifications go, by CONNECT. It resolves names and "
        "must refuse internal addresses. Empty: none; no other variable is read.",
    )
    egress_ca: str = Field(
        "",
        description="Files (PEM) of authorities that receivers may be certified by, beside the system's: a path for "
        "all, `host=path` for one host, separated by commas.",
    )
    egress_client_cert: str = Field(
        "",
        description="Files (PEM: certificate and key) shown to receivers that ask who calls: a path for all, "
        "`host=path` for one host, separated by commas.",
    )
    retry_initial_ms: int = Field(
        1000, ge=1, description="Wait after the first failed attempt, milliseconds; doubles each time."
    )
    retry_max_ms: int = Field(7_200_000, ge=1, description="Longest wait between attempts, milliseconds.")
    error_after_failures: int = Field(10, ge=1, description="Failed attempts in a row until a Subscription is `error`.")
    off_after_seconds: int = Field(
        604_800, ge=0, description="Seconds of failure until a Subscription is `off`; 0 = never."
    )
    recovery: Literal["auto", "client"] = Field(
        "auto", description="`auto`: an error heals when the backlog is delivered; `client`: when the client asks."
    )
    default_timeout_seconds: int = Field(
        15, ge=1, le=120, description="Time-out of an attempt when the Subscription names none."
    )
    batch_wait_ms: int = Field(
        0, ge=0, description="How long to wait for a batch to fill, milliseconds; 0 = send at once."
    )
    heartbeat_min_seconds: int = Field(10, ge=1, description="Shortest heartbeat period that is granted, seconds.")
    smtp_host: str = Field("", description="Mail server that mails are handed in at. Empty: no email channel.")
    smtp_port: int = Field(0, ge=0, le=65535, description="Its port; 0: 587 with starttls, 465 with tls, 25 with off.")
    smtp_tls: Literal["off", "starttls", "tls"] = Field(
        "starttls",
        validate_default=True,
        description="How the connection is encrypted; `off` only for a mail server on this machine (loopback).",
    )
    smtp_user: str = Field("", description="Name to log in with. Empty: no login.")
    smtp_password: SecretStr = Field(SecretStr(""), validate_default=True, description="Password to log in with.")
    email_from: str = Field(
        "", validate_default=True, description="Mail address that mails come from, and that bounces go to."
    )
    email_full_resource: bool = Field(False, description="Let whole resources go by mail (content full-resource).")
    email_heartbeat_min_seconds: int = Field(
        3600, ge=1, description="Shortest heartbeat period that is granted by mail, seconds."
    )
    message_event: str = Field(
        "",
        description="MessageHeader.eventCoding of messages: system, a vertical bar, code. Empty: as in HL7's examples.",
    )
    event_retention_seconds: int = Field(
        604_800, ge=1, description="How long delivered events can be asked for, seconds."
    )
    event_retention_count: int = Field(10_000, ge=1, description="How many delivered events are kept per Subscription.")
    max_body_bytes: int = Field(2 * 1024 * 1024, ge=1024, description="Largest request body, bytes.")
    max_bundle_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="Largest Bundle, bytes.")
    max_event_copy_bytes: int = Field(65_536, ge=0, description="Largest held body that an event copies, bytes.")
    max_waiting_changes: int = Field(100_000, ge=1, description="Changes that may wait to be judged; more answer 429.")
    max_waiting_events: int = Field(
        20_000_000,
        ge=1,
        description="Events that may wait for delivery, of all Subscriptions; with more, changes answer 429.",
    )
    redis_memory_percent: int = Field(
        80,
        ge=1,
        le=100,
        description="Percent of its maxmemory (without one: of its machine's memory) that Redis may use; with more, "
        "changes answer 429, and new Subscriptions do from half of the rest on.",
    )
    max_requests_in_flight: int = Field(
        1024, ge=1, description="FHIR requests that one process works on at the same time; more answer 503."
    )
    max_bodies_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        description="Bytes of the bodies of all these requests together, at least one Bundle's; more answer 503.",
    )
    max_attempts_in_flight: int = Field(256, ge=1, description="Delivery attempts at the same time in one process.")
    ws_token_ttl_seconds: int = Field(
        60, ge=1, le=3600, description="How long a websocket binding token can be redeemed, seconds."
    )
    ws_bind_seconds: int = Field(10, ge=1, description="How long a websocket may be open with nothing bound, seconds.")
    ws_ping_seconds: int = Field(
        20, ge=1, description="Pause between pings of a websocket, and how long an answer may take, seconds."
    )
    ws_max_sockets: int = Field(10_000, ge=1, description="Most open websockets of one process; more answer 503.")
    classic_websocket: bool = Field(
        False, description="Answer `bind ID`, without a token, for classic Subscriptions of R4 and R4B."
    )
    allowed_origins: str = Field(
        "",
        description="Origins of web pages that may read answers (CORS) and open websockets, separated by commas; "
        "`:*` stands for any port. Empty: the hub's own.",
    )
    partitions: int = Field(
        1, ge=1, le=64, description="Change partitions per base; more than 1 trades order across resources."
    )
    shards: int = Field(4, ge=1, le=256, description="Shards of Subscriptions; fixed at the first start.")
    workers: int = Field(1, ge=1, le=64, description="Processes that `hub serve` or `hub worker` runs, on one socket.")
    shutdown_seconds: int = Field(10, ge=0, description="How long a stop waits for attempts in flight, seconds.")
    log: Literal["text", "json"] = Field("text", description="Form of log lines on standard error.")

    @property
    def tokens(self) -> tuple[str, ...]:
        return tuple(listed(self.token.get_secret_value()))

    @property
    def egress_allowed(self) -> tuple[str, ...]:
        return tuple(listed(self.egress_allow))

    @property
    def origins_allowed(self) -> tuple[str, ...]:
        return tuple(listed(self.allowed_origins))

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            initial=timedelta(milliseconds=self.retry_initial_ms),
            longest=timedelta(milliseconds=self.retry_max_ms),
            error_after_failures=self.error_after_failures,
            off_after=timedelta(seconds=self.off_after_seconds),
            recovers_by_itself=self.recovery == "auto",
        )

    def base_url_of(self, version: FhirVersion) -> str:
        """The public base of one version, without a trailing slash."""
        return f"{self.base_url or self._listening_url()}{version.path}"

    def source_base_url_of(self, version: FhirVersion) -> str:
        """The base below which absolute references equal relative ones (ruling 15)."""
        own = {"r4": self.source_base_url_r4, "r4b": self.source_base_url_r4b, "r5": self.source_base_url_r5}
        return own[version.value] or self.source_base_url or self.base_url_of(version)

    def _listening_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


DEV_DEFAULTS: dict[str, Any] = {
    "allow_private_endpoints": True,
    "allow_http_endpoints": True,
    "draft_topics": True,
    "heartbeat_min_seconds": 1,
    "classic_websocket": True,
    "allowed_origins": "http://127.0.0.1:*,http://localhost:*",
}
"""What ``--dev`` implies; a setting given explicitly wins (HOUSE decision 10)."""


def load_settings(*, dev: bool = False, **given: Any) -> Settings:
    """Read the settings. ``given`` are command-line values and win over everything; None means not given.

    Raises CannotStart naming every bad value, and when an address other than loopback would be open without tokens.
    """
    explicit = {name: value for name, value in given.items() if value is not None}
    _check_names()
    try:
        settings = Settings(**explicit)
        if dev:
            implied = {name: value for name, value in DEV_DEFAULTS.items() if name not in settings.model_fields_set}
            settings = settings.model_copy(update=implied)
    except TOMLDecodeError as problem:
        raise CannotStart(f"the file of {CONFIG_VARIABLE} is not TOML: {problem}") from problem
    except ValidationError as problem:
        raise CannotStart("; ".join(_told(error) for error in problem.errors())) from problem
    if dev and settings.host not in LOOPBACK and not settings.tokens:
        raise CannotStart(f"--dev without HUB_TOKEN listens on loopback only; HUB_HOST is {settings.host}")
    return settings


def _check_names() -> None:
    """A mistyped name would be a setting that silently does nothing; a missing file, all of them."""
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE}
    unknown = sorted(name for name in os.environ if name.startswith("HUB_") and name.upper() not in known)
    problems = [f"{name} is no setting of the hub" for name in unknown]
    file = os.environ.get(CONFIG_VARIABLE)
    if file and not Path(file).is_file():
        problems.append(f"{CONFIG_VARIABLE}: {file} is not a file")
    if problems:
        raise CannotStart("; ".join(problems))


def _told(error: Any) -> str:
    name = "HUB_" + "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
