"""Why a change is, or is not, an event for a Subscription: the decisions of matching, told clause by clause.

    finding.py   a test that the matching code makes, and the values it looks at
    triggers.py  a topic and its triggers
    filters.py   the filters of a Subscription

Every verdict is asked of the code that matches; nothing is decided a second time here. What an alternative before it
made needless is judged all the same, so that the whole picture is told.
"""

from hub.matching.explain.filters import explain_filters
from hub.matching.explain.triggers import explain_topic

__all__ = ["explain_filters", "explain_topic"]
