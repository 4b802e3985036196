"""Something happened elsewhere: an entry on the change stream that changes nothing, for topics with event triggers."""

from __future__ import annotations

from hub.domain.change import ChangeId
from hub.domain.versions import FhirVersion
from hub.fhir.external_event import ExternalEvent
from hub.intake.addressing import check_ordinary, resource_key
from hub.intake.changes import Intake
from hub.intake.offers import Repeatable, happening
from hub.intake.placing import placed

FOCUS = "Parameters.parameter.where(name='focus')"


async def announce(
    intake: Intake, tenant: str, base: FhirVersion, event: ExternalEvent, repeatable: Repeatable
) -> ChangeId:
    """Make the event durable, in its place among the changes; the id it has there (S-044).

    Its focus is the resource that came along, else the version that is held at this moment, if one is.
    """
    key = resource_key(tenant, base, event.type, event.id, FOCUS)
    raw, resource = event.resource or (b"", {})
    with placed(FOCUS):
        check_ordinary(base, {"resourceType": event.type, **resource}, FOCUS)
        offer = happening(key, event.occasion, raw, resource, repeatable)
    return (await intake.write(offer)).last_updated
