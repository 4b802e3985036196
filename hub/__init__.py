"""A FHIR Subscriptions notification hub that stands beside any EHR or FHIR server."""

__version__ = "0.1.0"
