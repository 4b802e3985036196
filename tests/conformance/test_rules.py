"""The rules themselves, tried on the notifications that come with Inferno: good ones pass, the bad one does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.domain.versions import FhirVersion
from tests.api.receiver import Notification
from tests.channels.receivers import Request
from tests.conformance import rules
from tests.conformance.tester import Run
from tests.real_input.shared_data import DATA, needs_data

pytestmark = needs_data

FOLDER = DATA / "notifications" / "inferno"
OF_THE_BODY = (
    rules.it_is_json,
    rules.it_is_a_bundle_of_the_right_type,
    rules.it_is_valid,
    rules.it_has_entries,
    rules.the_status_entry_says_how_to_ask_again,
    rules.every_entry_has_request_and_response,
    rules.every_entry_has_a_full_url,
    rules.the_first_entry_is_the_status,
    rules.it_is_about_this_subscription,
    rules.its_highest_number_is_the_count,
)
GOOD = ("handshake", "heartbeat", "empty_notification", "id_only_notification", "full_resource_notification")


def run(identity: str) -> Run:
    fake: Any = SimpleNamespace(api=SimpleNamespace(base=FhirVersion.R4), id=identity)
    return cast(Run, fake)


def published(name: str) -> Notification:
    return Notification(Request("POST / HTTP/1.1", [], (FOLDER / f"{name}_bundle_example.json").read_bytes()), 200)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("rule", OF_THE_BODY, ids=[rule.__name__ for rule in OF_THE_BODY])
def test_the_rules_accept_what_inferno_publishes(name: str, rule: rules.Rule) -> None:
    rule(run("123"), published(name))


def test_the_rules_refuse_what_inferno_calls_non_conformant() -> None:
    """Its only entry has neither request nor response (bdl-3, bdl-4)."""
    sent = Notification(
        Request("POST / HTTP/1.1", [], (FOLDER / "empty_notification_bundle_non_conformant_example.json").read_bytes()),
        200,
    )
    broken = []
    for rule in OF_THE_BODY:
        try:
            rule(run("admission"), sent)
        except (AssertionError, KeyError):
            broken.append(rule)
    assert broken == [rules.the_status_entry_says_how_to_ask_again, rules.every_entry_has_request_and_response]
