"""HTTP in: FHIR REST and operations. The only room where errors become statuses and OperationOutcomes."""
