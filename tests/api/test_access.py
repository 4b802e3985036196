"""Who is let in (SECURITY A1, HOUSE decision 10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from hub.cli import main
from hub.domain.versions import FhirVersion
from hub.errors import CannotStart
from hub.settings import load_settings
from tests.api.builders import fresh_id, patient, subscription
from tests.api.harness import BASES, Api, RunningHub, outcome_of, running_hub

TOKEN = "hub_example-token-0123456789"
StartHub = Callable[..., Awaitable[RunningHub]]

ROUTES = [
    ("GET", "Patient/1"), ("PUT", "Patient/1"), ("POST", "Patient"), ("DELETE", "Patient/1"), ("HEAD", "Patient/1"),
    ("GET", "Patient/1/_history/1"), ("GET", "Patient"), ("POST", ""), ("GET", "Unknown/1"), ("GET", "Patient/@"),
    ("GET", "Subscription"), ("POST", "Subscription"), ("GET", "Subscription/1"), ("PUT", "Subscription/1"),
    ("DELETE", "Subscription/1"), ("GET", "Subscription/$status"), ("GET", "Subscription/1/$events"),
    ("GET", "SubscriptionTopic"), ("POST", "SubscriptionTopic"), ("DELETE", "SubscriptionTopic/admission"),
    ("POST", "metadata"), ("GET", "metadata/"), ("GET", "metadata/x"), ("PATCH", "Patient/1"), ("GET", "%ff?%zz"),
]  # fmt: skip


@pytest.fixture(scope="module")
async def guarded(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    folder = tmp_path_factory.mktemp("guarded")
    async with running_hub(f"{api_redis_url}?db=3", folder, dev=False, token=f"{TOKEN},other") as hub:
        yield hub


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[f"{method} {path}" for method, path in ROUTES])
@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic aHVi", f"Bearer {TOKEN}x", TOKEN, "Bearer"])
async def test_without_a_right_token_every_route_is_401(
    guarded: RunningHub, base: FhirVersion, method: str, path: str, authorization: str
) -> None:
    api = guarded.api(base)
    headers = {"Authorization": authorization} if authorization else {}
    answer = await api.call(method, path, b"{}" if method in ("PUT", "POST") else None, **headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "x-hub-dev" not in answer.headers
    if method != "HEAD":
        outcome_of(answer, 401)


@pytest.mark.parametrize("path", ["/nothing", "/fhir", "/fhir/r6/Patient/1", "/health", "/health/live/"])
async def test_a_path_beside_the_bases_tells_a_stranger_nothing(guarded: RunningHub, path: str) -> None:
    outcome_of(await guarded.api(FhirVersion.R5).get(path), 401)


async def test_metadata_health_and_the_welcome_are_open(guarded: RunningHub) -> None:
    for base in BASES:
        assert (await guarded.api(base).get("metadata")).status_code == 200
        assert (await guarded.api(base).call("HEAD", "metadata")).status_code == 200
    for path in ("/health/live", "/health/ready", "/"):
        answer = await guarded.api(FhirVersion.R5).get(path)
        assert answer.status_code == 200 and "x-hub-dev" not in answer.headers


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", "Bearer other"])
async def test_each_of_the_tokens_works(guarded: RunningHub, base: FhirVersion, authorization: str) -> None:
    api, identity = guarded.api(base), fresh_id()
    answer = await api.put(f"Patient/{identity}", patient(identity), Authorization=authorization)
    assert answer.status_code == 201
    assert (await api.get(f"Patient/{identity}", Authorization=authorization)).status_code == 200
    outcome_of(await api.get(f"Patient/{identity}"), 401)


async def test_a_token_beyond_ascii_is_refused_and_does_no_harm(guarded: RunningHub, base: FhirVersion) -> None:
    answer = await guarded.client.get(f"{base.path}/Patient/1", headers={b"Authorization": b"Bearer t\xc3\xb6ken"})
    outcome_of(answer, 400, 401)


async def test_without_dev_neither_http_nor_private_endpoints_are_taken(guarded: RunningHub, base: FhirVersion) -> None:
    """SECURITY B2, B3."""
    for endpoint in ("http://example.org/", "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/"):
        body = subscription(base, endpoint)
        outcome_of(await guarded.api(base).post("Subscription", body, Authorization=f"Bearer {TOKEN}"), 422)


async def test_a_token_that_the_hub_made_is_kept_as_a_hash_and_works_after_a_restart(
    api_redis_url: str, tmp_path: Path
) -> None:
    url = f"{api_redis_url}?db=2"
    async with running_hub(url, tmp_path, dev=False) as hub:
        made = hub.token
        assert len(made) > 40
        assert (await _read(hub.api(FhirVersion.R4), made)) == 404
        assert (await _read(hub.api(FhirVersion.R4), "")) == 401
        assert made not in await _everything_in(hub)
    async with running_hub(url, tmp_path, dev=False, fresh=False) as hub:
        assert hub.token == ""  # shown once only
        assert (await _read(hub.api(FhirVersion.R4), made)) == 404


async def _read(api: Api, token: str) -> int:
    return (await api.get("Patient/1", Authorization=f"Bearer {token}")).status_code


async def _everything_in(hub: RunningHub) -> str:
    (keys,) = await hub.hub.store.send(("KEYS", "*"))
    dumps = await hub.hub.store.send(*(("DUMP", key) for key in keys))
    return repr((keys, dumps))


async def test_in_development_every_answer_says_so(running: RunningHub, base: FhirVersion) -> None:
    api = running.api(base)
    for path in ("Patient/none", "metadata", "Subscription", "/health/live", "/health/ready", "/", "/nothing"):
        assert (await api.get(path)).headers["x-hub-dev"] == "1"
    assert (await api.post("/health/live")).headers["x-hub-dev"] == "1"


async def test_a_token_given_in_development_is_asked_for(start_hub: StartHub) -> None:
    """An explicit setting wins over what --dev implies."""
    hub = await start_hub(token=TOKEN)
    outcome_of(await hub.api(FhirVersion.R5).get("Patient/1"), 401)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_development_on_a_public_address_does_not_start(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CannotStart, match="loopback"):
        load_settings(dev=True, host=host)
    assert main(["serve", "--dev", "--host", host]) == 2
    assert "loopback" in capsys.readouterr().err


def test_development_on_loopback_or_with_a_token_starts() -> None:
    assert load_settings(dev=True, host="::1").host == "::1"
    assert load_settings(dev=True, host="0.0.0.0", token=TOKEN).tokens == (TOKEN,)
