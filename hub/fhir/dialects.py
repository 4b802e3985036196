"""The contract of a dialect: how one FHIR version writes Subscriptions and notifications, and which object speaks it.

A dialect reads and writes at the edges only; between them there are the words of ``hub.domain`` (HOUSE decision 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hub.domain.event import Notification
from hub.domain.subscription import Status, Subscription
from hub.domain.versions import FhirVersion
from hub.fhir.backport import BackportDialect
from hub.fhir.r5 import R5Dialect
from hub.fhir.reading import Json
from hub.fhir.subscriptions import Limits


class Dialect(Protocol):
    """One FHIR version's way of writing."""

    @property
    def version(self) -> FhirVersion: ...

    def read_subscription(self, resource: Json, limits: Limits) -> Subscription:
        """What ``resource`` asks for, clamped to ``limits``.

        Raises Malformed or Unprocessable with every problem found: structure, codes, channel, payload, filters. Whether
        topic and filters exist, and whether the endpoint may be called, the caller asks elsewhere.
        """

    def accepted_subscription(
        self, resource: Json, subscription: Subscription, status: Status, error: str = ""
    ) -> dict[str, Any]:
        """``resource`` as stored and returned: in ``status``, with everything in effect written out (S-080).

        ``error`` is the server's text for Subscription.error; a client's own goes (S-087), R5 has none (S-099).
        """

    def mask_headers(self, resource: Json) -> dict[str, Any]:
        """``resource`` with ``***`` for every header value (HOUSE ruling 24)."""

    def unmask_headers(self, resource: Json, stored: Json) -> dict[str, Any]:
        """``resource`` with the values of ``stored`` where the mask came back for the same header and the same host."""

    def write_notification(self, notification: Notification, base_url: str, source_base_url: str = "") -> bytes:
        """The notification Bundle. ``base_url`` is that of Subscriptions, ``source_base_url`` ("" for the same) that of
        the resources that events are about (HOUSE ruling 15); stored resource bytes go in unchanged."""

    def write_status_bundle(self, notifications: Sequence[Notification], self_url: str, base_url: str) -> bytes:
        """The answer to ``$status``: a searchset with one status carrier for each notification (S-184, S-185)."""


_DIALECTS: dict[FhirVersion, Dialect] = {
    FhirVersion.R4: BackportDialect(FhirVersion.R4),
    FhirVersion.R4B: BackportDialect(FhirVersion.R4B),
    FhirVersion.R5: R5Dialect(),
}


def dialect(version: FhirVersion) -> Dialect:
    """The dialect spoken on the base of ``version``."""
    return _DIALECTS[version]
