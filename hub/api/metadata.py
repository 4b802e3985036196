"""``{base}/metadata``: what works on a base, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.api.wire import Answer
from hub.domain.versions import FhirVersion
from hub.fhir.capability import capability_statement
from hub.fhir.definitions import definitions
from hub.fhir.json import write_json


def metadata_answer(
    version: FhirVersion,
    base_url: str,
    software_version: str,
    date: datetime,
    description: str,
    topic_canonicals: Sequence[str],
    websocket_url: str,
) -> Answer:
    statement = capability_statement(
        version,
        base_url=base_url,
        software_version=software_version,
        date=date,
        description=description,
        resource_types=definitions(version).resource_types,
        topics=sorted(set(topic_canonicals)),
        system_interactions=("transaction", "batch"),
        websocket_url=websocket_url,
    )
    return Answer(200, write_json(statement))
