"""Static bearer tokens. Only their SHA-256 is kept in memory and in the store; comparison takes constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from hub.errors import Unauthorised

OPERATOR = "operator"
DEVELOPER = "developer"


def fresh_token() -> str:
    """256 random bits, printable."""
    return f"hub_{secrets.token_urlsafe(32)}"


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Guard:
    """Decides who a request comes from. Without tokens everybody is the developer: ``--dev`` only (SECURITY A1)."""

    def __init__(self, digests: Iterable[str], *, open_to_all: bool = False) -> None:
        self._digests = tuple(digests)
        self.open_to_all = open_to_all and not self._digests

    def principal(self, authorization: str) -> str:
        """The principal behind an Authorization header value. Raises Unauthorised."""
        if self.open_to_all:
            return DEVELOPER
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorised("send the header Authorization: Bearer <token>")
        given = digest(token.strip())
        matches = [hmac.compare_digest(given, known) for known in self._digests]
        if not any(matches):
            raise Unauthorised("this token is not known here", code="unknown")
        return OPERATOR
