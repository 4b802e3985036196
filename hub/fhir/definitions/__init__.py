"""Facts of FHIR R4, R4B and R5: elements and their types, search parameters, the Patient compartment.

The tables ship with the package (``NOTICE`` says where they are from) and are read once per version, on first use,
in a few milliseconds. What they do not know does not exist in that version: callers refuse it, nothing is guessed.
"""

from __future__ import annotations

from hub.fhir.definitions.facts import Definitions, definitions
from hub.fhir.definitions.hierarchy import PRIMITIVES
from hub.fhir.definitions.records import Element, SearchParameter

__all__ = ["PRIMITIVES", "Definitions", "Element", "SearchParameter", "definitions"]
