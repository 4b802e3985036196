"""The FHIR versions the hub speaks, each on a base of its own (S-001, HOUSE decision 1)."""

from __future__ import annotations

from enum import StrEnum


class FhirVersion(StrEnum):
    """A version; its value is the last segment of the base path, ``/fhir/r4``."""

    R4 = "r4"
    R4B = "r4b"
    R5 = "r5"

    @property
    def number(self) -> str:
        """The published version, as in CapabilityStatement.fhirVersion."""
        return {"r4": "4.0.1", "r4b": "4.3.0", "r5": "5.0.0"}[self.value]

    @property
    def mime_parameter(self) -> str:
        """The value of the ``fhirVersion`` MIME parameter (S-005)."""
        return self.number[:3]

    @property
    def path(self) -> str:
        return f"/fhir/{self.value}"
