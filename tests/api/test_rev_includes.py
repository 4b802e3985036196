"""What refers to a focus travels with it: revInclude (S-053, S-054, ruling 21)."""

from __future__ import annotations

from typing import Any

from tests.api.builders import fresh_id, subscribe, topic
from tests.api.harness import Api, RunningHub, outcome_of
from tests.api.receiver import Inbox, Notification

URL = "http://example.org/topics/with-provenance"


def _provenance(base: str, identity: str, target: str) -> dict[str, Any]:
    return {"resourceType": "Provenance", "id": identity, "target": [{"reference": target}], "recorded": "2026-01-01"}


async def _with_topic(api: Api) -> None:
    written = topic(api.base, URL, "Encounter")
    written["notificationShape"] = [{"resource": "Encounter", "revInclude": ["Provenance:target", "Nothing:at-all"]}]
    identity = "with-provenance"
    response = await api.put(f"SubscriptionTopic/{identity}", written | {"id": identity})
    assert response.status_code in (200, 201), response.text


def _others(notification: Notification) -> set[str]:
    return {entry["fullUrl"].split("/", 5)[-1] for entry in notification.entries[1:]}


async def test_what_refers_to_the_focus_travels_with_it(api: Api, inbox: Inbox, running: RunningHub) -> None:
    if api.base.value == "r4":
        assert outcome_of(await api.get("SubscriptionTopic"), 404)
        return
    before, after, encounter = fresh_id("before"), fresh_id("after"), fresh_id("enc")
    await api.put(f"Provenance/{before}", _provenance(api.base, before, f"Encounter/{encounter}"))
    await _with_topic(api)
    await running.hub.reverse_includes[api.base].fill()
    await api.put(f"Provenance/{after}", _provenance(api.base, after, f"Encounter/{encounter}"))
    await subscribe(api, inbox, URL, content="full-resource")
    await api.put(f"Encounter/{encounter}", {"resourceType": "Encounter", "id": encounter, "status": "planned"})
    assert _others(await inbox.event()) == {f"Provenance/{before}", f"Provenance/{after}"}

    await api.put(f"Provenance/{before}", _provenance(api.base, before, "Encounter/another"))
    await api.delete(f"Provenance/{after}")
    await api.put(f"Encounter/{encounter}", {"resourceType": "Encounter", "id": encounter, "status": "cancelled"})
    assert _others(await inbox.event()) == set()
