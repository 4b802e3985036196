"""HL7's FHIRPath suite for FHIR R4: read, run and judged (``cases``, ``inputs``, ``judging``)."""
