"""Something happened elsewhere: an entry on the change stream that changes nothing, for topics with event triggers."""

from __future__ import annotations

from collections.abc import Sequence

from hub.domain.change import NEVER_CHANGES, ChangeId
from hub.domain.versions import FhirVersion
from hub.errors import Malformed
from hub.fhir.definitions import definitions
from hub.fhir.external_event import ExternalEvent
from hub.intake.addressing import check_ordinary, resource_key
from hub.intake.changes import Intake
from hub.intake.offers import FOCUS, Repeatable, happening
from hub.intake.placing import placed

CONTEXT = "Parameters.parameter.where(name='context')"


async def announce(
    intake: Intake, tenant: str, base: FhirVersion, event: ExternalEvent, repeatable: Repeatable
) -> ChangeId:
    """Make the event durable, in its place among the changes; the id it has there (S-044).

    Its focus is the resource that came along, else the version that is held at this moment, if one is.
    """
    _check_context(base, event.occasion.context)
    key = resource_key(tenant, base, event.type, event.id, FOCUS)
    raw, resource = event.resource or (b"", {})
    with placed(FOCUS):
        check_ordinary(base, {"resourceType": event.type, **resource}, FOCUS)
        offer = happening(key, event.occasion, raw, resource, repeatable)
    return (await intake.write(offer)).last_updated


def _check_context(base: FhirVersion, context: Sequence[str]) -> None:
    """Raises Malformed for what could never travel along."""
    for reference in context:
        resource_type = reference.partition("/")[0]
        if resource_type not in definitions(base).resource_types - NEVER_CHANGES:
            raise Malformed(
                f"the hub holds no {resource_type} of FHIR {base.number} that could go along; leave {reference} out",
                expression=CONTEXT,
            )
