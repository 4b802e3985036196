"""How each base writes a topic: R4B and R5 as SubscriptionTopic, R4 as ``Basic`` (S-060); and how files may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.domain.topic import SubscriptionTopic
from hub.domain.versions import FhirVersion
from hub.errors import Issue
from hub.fhir.basic_topics import is_topic, read_basic_topic, told_in_basic, write_basic_topic
from hub.fhir.r6_topics import is_r6_topic, r6_as_topic, read_r6_topic
from hub.fhir.reading import Json
from hub.fhir.topic_shapes import in_shape_of
from hub.fhir.topics import read_topic


def topic_type(base: FhirVersion) -> str:
    """The resource type that topics have on a base."""
    return "Basic" if base is FhirVersion.R4 else "SubscriptionTopic"


def is_written_as_topic(resource: Json, base: FhirVersion) -> bool:
    """Does a resource of this base stand for a topic?"""
    if base is FhirVersion.R4:
        return is_topic(resource)
    return resource.get("resourceType") == "SubscriptionTopic"


def read_written_topic(resource: Json, base: FhirVersion) -> SubscriptionTopic:
    """The topic as it was written through a base. Raises Malformed or Unprocessable."""
    return read_basic_topic(resource) if base is FhirVersion.R4 else read_topic(resource, base)


def write_topic_for(base: FhirVersion, r5_resource: Json) -> dict[str, Any]:
    """A topic in R5 JSON as the base writes it."""
    return write_basic_topic(r5_resource) if base is FhirVersion.R4 else in_shape_of(base, r5_resource)


def told_as_written(resource: Json, base: FhirVersion, issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """``issues`` about SubscriptionTopic with their places in ``resource``, as its base writes it."""
    return told_in_basic(resource, issues) if base is FhirVersion.R4 else tuple(issues)


def read_filed_topic(resource: Json) -> SubscriptionTopic:
    """The topic of an operator's file, in the shape of R5 or of the R6 ballot (S-070).

    Raises Malformed or Unprocessable, with places as the file writes them.
    """
    return read_r6_topic(resource) if is_r6_topic(resource) else read_topic(resource, FhirVersion.R5)


def in_r5_terms(resource: Json) -> dict[str, Any]:
    """The R5 JSON of a readable topic of R5 or of the R6 ballot: what the bases show of a file."""
    return r6_as_topic(resource) if is_r6_topic(resource) else dict(resource)
