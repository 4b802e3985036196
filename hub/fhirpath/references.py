"""``resolve() is Patient``: the type a reference points to, told from the reference alone, never fetched (S-255)."""

from __future__ import annotations

from typing import Any

from hub.fhir.definitions import Definitions
from hub.fhirpath.evaluation import Environment
from hub.fhirpath.items import Item
from hub.fhirpath.navigation import resource_type


def target_type(item: Item, env: Environment, facts: Definitions) -> str | None:
    """The type that ``item`` (a Reference, or a uri) points to; None when it does not say.

    In this order: Reference.type, the contained resource of ``#id``, the type in the URL. A reference that has only an
    identifier, or a ``urn:`` without a type, says nothing.
    """
    value = item[1]
    if isinstance(value, dict):
        named = value.get("type")
        if isinstance(named, str) and (type_ := named.rsplit("/", 1)[-1]) in facts.resource_types:
            return type_
        value = value.get("reference")
    if not isinstance(value, str):
        return None
    if value.startswith("#"):
        return _contained_type(value[1:], env, facts)
    return _type_in_url(value, facts)


def _type_in_url(url: str, facts: Definitions) -> str | None:
    path, conditional, _ = url.partition("?")
    segments = path.split("#", 1)[0].split("/")
    if len(segments) > 3 and segments[-2] == "_history":
        segments = segments[:-2]
    candidate = segments[-1] if conditional else segments[-2] if len(segments) > 1 else ""
    return candidate if candidate in facts.resource_types else None


def _contained_type(identity: str, env: Environment, facts: Definitions) -> str | None:
    resource = env.resource
    if resource is None:
        return None
    if not identity:
        return resource[0]
    contained: Any = resource[1].get("contained")
    for candidate in env.spend_on(contained) if isinstance(contained, list) else []:
        if isinstance(candidate, dict) and candidate.get("id") == identity:
            found = resource_type(candidate, facts)
            return found if found in facts.resource_types else None
    return None
