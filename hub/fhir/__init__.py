"""JSON dialects of FHIR and the facts of its versions. Used at the edges only. Pure."""
