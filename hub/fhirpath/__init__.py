"""FHIRPath: the one engine for topics and search parameters. Pure: no I/O, no clock, nothing is fetched.

Text becomes tokens (``lexer``), a syntax tree (``parser``), and closures (``compiler``) that know the element tables of
one FHIR version. Syntax errors, unknown names and what the hub cannot evaluate are found when compiling; a hostile
expression is bounded by its length, its depth and what one evaluation may cost.
The language: http://hl7.org/fhirpath/N1/, with what FHIR adds to it: http://hl7.org/fhir/R5/fhirpath.html.
"""

from __future__ import annotations

from hub.fhirpath.errors import FHIRPathError, FHIRPathEvaluationError, FHIRPathUnsupported
from hub.fhirpath.expression import Expression, compile_expression

__all__ = ["Expression", "FHIRPathError", "FHIRPathEvaluationError", "FHIRPathUnsupported", "compile_expression"]
