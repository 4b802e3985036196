"""What can go wrong, chosen by what the caller can do about it.

    HubError
    ├── Refused              the request is at fault; carries the issues of an OperationOutcome and an HTTP status
    │   ├── Malformed             400  not JSON, not FHIR, not a legal parameter
    │   ├── Unauthorised          401  no token, or a wrong one
    │   ├── NotFound              404  no such resource, topic or number
    │   ├── NotOffered            405  a FHIR interaction that the hub does not offer (yet)
    │   ├── NotAcceptable         406  an answer format that is not served
    │   ├── TooSlow               408  the body did not come in time
    │   ├── Conflict              409  somebody else changed it meanwhile
    │   ├── Gone                  410  it was deleted
    │   ├── PreconditionFailed    412  If-Match names another version
    │   ├── TooLarge              413  more bytes than the limit
    │   ├── UnsupportedMediaType  415  a body format that is not read
    │   └── Unprocessable         422  well-formed, but the hub cannot do it exactly
    ├── Overloaded           the hub protects what it has accepted: ask again later (429)
    │   └── Full                  this process has all it can hold, or is not ready yet: another may take it (503)
    ├── Unavailable          the store did not answer: nothing is confirmed (503)
    │   └── NotTaken              the store refused it as it stood: it was not carried out (503)
    ├── Fenced               another process took over; what was being done here is void
    └── CannotStart          bad settings or an unfit Redis: the process ends with the reason
        └── Away                  Redis does not answer: started again later, it may go well

A delivery that failed is an Outcome (``hub.domain.delivery``), never an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome.

    ``code`` is a FHIR issue-type code, ``diagnostics`` says what is wrong and what to write instead,
    ``expression`` is the path of the element at fault ("" when there is none).
    """

    code: str
    diagnostics: str
    expression: str = ""
    severity: str = "error"


class HubError(Exception):
    """Everything the hub raises on purpose."""


class Refused(HubError):
    """The request is at fault and changed nothing."""

    status = 400
    code = "invalid"

    def __init__(self, *issues: Issue | str, expression: str = "", code: str = "") -> None:
        self.issues: Sequence[Issue] = tuple(
            Issue(code or self.code, issue, expression) if isinstance(issue, str) else issue for issue in issues
        )
        super().__init__("; ".join(issue.diagnostics for issue in self.issues))


class Malformed(Refused):
    status, code = 400, "structure"


class Unauthorised(Refused):
    status, code = 401, "login"


class NotFound(Refused):
    status, code = 404, "not-found"


class NotOffered(Refused):
    status, code = 405, "not-supported"


class NotAcceptable(Refused):
    status, code = 406, "not-supported"


class TooSlow(Refused):
    status, code = 408, "timeout"


class Conflict(Refused):
    status, code = 409, "conflict"


class Gone(Refused):
    status, code = 410, "deleted"


class PreconditionFailed(Refused):
    status, code = 412, "conflict"


class TooLarge(Refused):
    status, code = 413, "too-long"


class UnsupportedMediaType(Refused):
    status, code = 415, "not-supported"


class Unprocessable(Refused):
    status, code = 422, "business-rule"


class Overloaded(HubError):
    """Too much is waiting; the request was not taken. ``retry_after_seconds`` goes into the answer."""

    status = 429

    def __init__(self, reason: str, retry_after_seconds: int = 1) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


class Full(Overloaded):
    """What is full belongs to this process: another one of the same hub may still have room."""

    status = 503


class Unavailable(HubError):
    """The store did not answer or did not confirm: the work may or may not stand."""


class NotTaken(Unavailable):
    """The store, or the way to it, is full: this command was not carried out. The message says what to do."""


class Fenced(HubError):
    """Another process holds this partition or Subscription now."""


class CannotStart(HubError):
    """The reason, in words an operator can act on."""

    exit_code = 2


class Away(CannotStart):
    """Nothing is wrong with this process: what it needs is not there yet."""

    exit_code = 3
