"""One hub as the command line speaks to it: a base, a token, and answers that are no success told in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from hub.client.answers import diagnostics
from hub.errors import CannotStart

TIMEOUT_SECONDS = 30.0


class HubClient:
    """Calls below one base; use it with ``async with``."""

    def __init__(self, base_url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._base_url = base_url
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, headers=headers)

    async def __aenter__(self) -> HubClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """The resource at ``path``. Raises CannotStart saying what was answered instead."""
        return await self._call("GET", path, query)

    async def post(self, path: str, **query: str) -> dict[str, Any]:
        """What an operation answers. Raises CannotStart saying what was answered instead."""
        return await self._call("POST", path, query)

    async def _call(self, method: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        url = f"{self._base_url}/{path}"
        given = {name: value for name, value in query.items() if value}
        try:
            answer = await self._client.request(method, url, params=given)
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise CannotStart(f"{url} does not answer: {type(problem).__name__}") from problem
        if answer.status_code != 200:
            raise CannotStart(f"the hub answered {answer.status_code}: {diagnostics(answer)}")
        try:
            found = answer.json()
        except ValueError as problem:
            raise CannotStart(f"{url} answered, but not as a hub does; is HUB_BASE_URL right?") from problem
        if not isinstance(found, dict):
            raise CannotStart(f"{url} answered, but not as a hub does; is HUB_BASE_URL right?")
        return found


def subscription_path(subscription: str, operation: str) -> str:
    """Where an operation of a Subscription is; its id may be written with or without its type."""
    return f"Subscription/{subscription.removeprefix('Subscription/')}/${operation}"
