"""From what a mail server said to an Outcome: the outcome table DR, read for SMTP. Pure.

250 after the mail                          delivered: the transport has accepted it (S-147, S-173)
4xx, no answer, no connection, no TLS       failed: again on the schedule
5xx to greeting, login, sender              failed: the operator's to put right, as 401 and 403
5xx to the recipient                        failed, as 404: mailboxes come (back), and nothing is lost meanwhile
551, 556, 5.1.6, 5.1.10 to the recipient    gone, as 410: moved away, or takes no mail ever
55x to the mail, 552 to its size            refused, as 413 and 422: this notification will never be taken
"""

from __future__ import annotations

from hub.channels.response import Failure
from hub.channels.smtp import MailAnswer, Step
from hub.domain.delivery import Outcome, OutcomeKind

TOO_LARGE = 552
GONE_CODES = frozenset({551, 556})
GONE_ENHANCED = frozenset({"5.1.6", "5.1.10"})
REFUSING = range(550, 560)


def judge_mail(answer: MailAnswer) -> Outcome:
    """What this answer means for the delivery. The detail holds step, codes and class of failure.

    Never a text of the server and never an address.
    """
    kind = _kind(answer)
    if kind is OutcomeKind.DELIVERED:
        return Outcome(kind, answer.code)
    if answer.failure:
        error = "dns-resolution-error" if answer.failure is Failure.NAME_NOT_RESOLVED else "no-response"
        return Outcome(kind, error=error, detail=f"mail server: {answer.failure} ({answer.step})")
    codes = f"{answer.code} {answer.enhanced}".strip()
    return Outcome(kind, answer.code, "error-response", f"mail server: SMTP {codes} ({answer.step})")


def _kind(answer: MailAnswer) -> OutcomeKind:
    if answer.step is Step.CONTENT and answer.code == 250:
        return OutcomeKind.DELIVERED
    if answer.step is Step.RECIPIENT and (answer.code in GONE_CODES or answer.enhanced in GONE_ENHANCED):
        return OutcomeKind.GONE
    if answer.step is Step.CONTENT and answer.code in REFUSING:
        return OutcomeKind.REFUSED
    if answer.step is Step.SENDER and answer.code == TOO_LARGE:
        return OutcomeKind.REFUSED
    return OutcomeKind.FAILED
