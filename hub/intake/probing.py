"""``$test``: an event that goes the whole way of a real one, for one Subscription alone."""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.change import ChangeId, ResourceKey
from hub.domain.probe import occasion_of_test, resource_of_test
from hub.domain.subscription import SubscriptionKey
from hub.errors import Unprocessable
from hub.fhir.json import write_json
from hub.intake.changes import Intake
from hub.intake.offers import Repeatable, happening, new_id
from hub.intake.repair import REDRIVABLE, RepairService


@dataclass(frozen=True, slots=True)
class ProbeService:
    intake: Intake
    repair: RepairService

    async def test(self, key: SubscriptionKey, principal: str) -> tuple[ChangeId, str]:
        """Make a test event durable; its change and what it is about (``Basic/hub-test-…``).

        Raises NotFound, Gone, Unprocessable for one that is off or classic: that would not know a test from data.
        """
        record = await self.repair.record(key)
        if record.status not in REDRIVABLE:
            raise Unprocessable(
                f"Subscription/{key.id} is {record.status}: no event is numbered; PUT it with status requested first",
                code="business-rule",
            )
        if await self.repair.is_classic(key):
            raise Unprocessable(
                "what a classic Subscription is sent cannot be marked as a test; change a resource that it matches",
                code="not-supported",
            )
        focus = ResourceKey(key.tenant, key.base, "Basic", f"hub-test-{new_id()}")
        resource = resource_of_test(focus.id)
        repeatable = Repeatable(principal=principal)
        offer = happening(focus, occasion_of_test(key.id), write_json(resource), resource, repeatable)
        return (await self.intake.write(offer)).last_updated, focus.reference
