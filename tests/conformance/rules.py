"""What a notification has to be, rule by rule: Inferno's for R4, and the same for R4B and R5 in their own shapes.

| | R4 | R4B | R5 |
|---|---|---|---|
| Bundle.type | history | history | subscription-notification |
| entry[0].resource | Parameters of a profile | SubscriptionStatus | SubscriptionStatus |
| entry[0].request, response | both | both | neither |
| entry[n].request, response | both | both | request only |
| numbers | valueString | string | integer64, a JSON string |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hub.domain.versions import FhirVersion
from hub.fhir.structure import model
from tests.api.receiver import Notification
from tests.conformance.tester import Run

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

STATUS_PARAMETERS = {
    "subscription": (1, 1, "valueReference"),
    "topic": (0, 1, "valueCanonical"),
    "status": (1, 1, "valueCode"),
    "type": (1, 1, "valueCode"),
    "events-since-subscription-start": (0, 1, "valueString"),
    "notification-event": (0, None, "part"),
    "error": (0, None, "valueCodeableConcept"),
}
"""The profile backport-subscription-status-r4: name -> least, most, value."""
EVENT_PARTS = {
    "event-number": (1, 1, "valueString"),
    "timestamp": (0, 1, "valueInstant"),
    "focus": (0, 1, "valueReference"),
    "additional-context": (0, None, "valueReference"),
}
Slices = dict[str, tuple[int, int | None, str]]
Rule = Callable[[Run, Notification], None]


def is_native(run: Run) -> bool:
    return run.api.base is FhirVersion.R5


def it_is_posted(run: Run, sent: Notification) -> None:
    """S-150."""
    assert sent.request.line.startswith("POST ")


def it_is_json(run: Run, sent: Notification) -> None:
    assert isinstance(json.loads(sent.body), dict)


def it_is_a_bundle_of_the_right_type(run: Run, sent: Notification) -> None:
    """S-122, S-129."""
    assert sent.bundle["resourceType"] == "Bundle"
    assert sent.bundle["type"] == ("subscription-notification" if is_native(run) else "history")


def it_is_valid(run: Run, sent: Notification) -> None:
    model("Bundle", run.api.base).model_validate_json(sent.body)
    assert "total" not in sent.bundle and sent.bundle["timestamp"]
    if not is_native(run):
        profile = "backport-subscription-notification" + ("-r4" if run.api.base is FhirVersion.R4 else "")
        assert sent.bundle["meta"]["profile"] == [BACKPORT + profile]


def it_has_entries(run: Run, sent: Notification) -> None:
    assert sent.bundle["entry"]


def the_status_entry_says_how_to_ask_again(run: Run, sent: Notification) -> None:
    """S-124; R5 has no request there (S-130)."""
    first = sent.bundle["entry"][0]
    if is_native(run):
        assert "request" not in first
        return
    assert first["request"]["method"] == "GET"
    assert first["request"]["url"].endswith(f"Subscription/{run.id}/$status")
    assert first["response"]["status"].startswith("200")


def every_entry_has_request_and_response(run: Run, sent: Notification) -> None:
    """S-123; in R5 a request and never a response (S-129, S-130). No entry has a search mode (bdl-2)."""
    for place, entry in enumerate(sent.bundle["entry"]):
        assert ("request" in entry) == (place > 0 or not is_native(run))
        assert ("response" in entry) == (not is_native(run))
        assert "search" not in entry


def every_entry_has_a_full_url(run: Run, sent: Notification) -> None:
    """S-126, S-131: absolute, of no version, each once; the status entry's is the uuid that is its id (S-118)."""
    urls = [entry["fullUrl"] for entry in sent.bundle["entry"]]
    assert UUID.fullmatch(urls[0])
    assert sent.bundle["entry"][0]["resource"]["id"] == urls[0].removeprefix("urn:uuid:")
    assert len(set(urls)) == len(urls)
    assert all(url.startswith(("http://", "https://")) and "/_history/" not in url for url in urls[1:])


def the_first_entry_is_the_status(run: Run, sent: Notification) -> None:
    """S-120, S-122: Parameters valid against their profile, or a SubscriptionStatus."""
    check_status(run.api.base, sent.bundle["entry"][0]["resource"])


def it_is_about_this_subscription(run: Run, sent: Notification) -> None:
    assert sent.carrier["subscription"]["reference"].endswith(f"Subscription/{run.id}")


def its_content_type_is_the_payload(run: Run, sent: Notification) -> None:
    """S-150: it starts with the MIME type of the returned Subscription."""
    mime = run.created["contentType"] if is_native(run) else run.created["channel"]["payload"]
    assert sent.header("content-type").startswith(mime)


def its_headers_are_those_of_the_subscription(run: Run, sent: Notification) -> None:
    """S-151: each arrives with exactly the value after the colon."""
    if is_native(run):
        wanted = [(each["name"], each["value"]) for each in run.created["parameter"]]
    else:
        wanted = [tuple(header.split(": ", 1)) for header in run.created["channel"]["header"]]
    assert wanted == [("Authorization", "Bearer SAMPLE_TOKEN")]
    for name, value in wanted:
        assert sent.request.values(name.lower()) == [value]


def its_highest_number_is_the_count(run: Run, sent: Notification) -> None:
    """S-107, S-108, S-110: strings of digits; what tells of no event carries the present count."""
    count = sent.carrier["eventsSinceSubscriptionStart"]
    assert isinstance(count, str) and count.isdigit()
    assert int(count) == max(sent.numbers, default=int(count))
    assert all(isinstance(event.number, str) for event in sent.events)


EVERY_NOTIFICATION: tuple[Rule, ...] = (
    it_is_posted,
    it_is_json,
    it_is_a_bundle_of_the_right_type,
    it_is_valid,
    it_has_entries,
    the_status_entry_says_how_to_ask_again,
    every_entry_has_request_and_response,
    every_entry_has_a_full_url,
    the_first_entry_is_the_status,
    it_is_about_this_subscription,
    its_content_type_is_the_payload,
    its_headers_are_those_of_the_subscription,
    its_highest_number_is_the_count,
)


def check_status(base: FhirVersion, resource: dict[str, Any]) -> None:
    """A status carrier as its version defines it."""
    name = "Parameters" if base is FhirVersion.R4 else "SubscriptionStatus"
    assert resource["resourceType"] == name
    model(name, base).model_validate(resource)
    if base is not FhirVersion.R4:
        assert resource["type"] and resource["subscription"]["reference"] and resource["status"]
        return
    assert resource["meta"]["profile"] == [BACKPORT + "backport-subscription-status-r4"]
    check_slices(resource["parameter"], STATUS_PARAMETERS)
    for event in (each for each in resource["parameter"] if each["name"] == "notification-event"):
        check_slices(event["part"], EVENT_PARTS)


def check_slices(parameters: list[dict[str, Any]], slices: Slices) -> None:
    names = [each["name"] for each in parameters]
    assert set(names) <= set(slices)
    for name, (least, most, _) in slices.items():
        assert names.count(name) >= least, name
        assert most is None or names.count(name) <= most, name
    for each in parameters:
        assert set(each) == {"name", slices[each["name"]][2]}, each
