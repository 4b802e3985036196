"""From a ResourceChange to the Subscriptions it concerns. Pure: no I/O, no clock, no chance.

    search/      search parameters evaluated in memory: one file per value type
    triggers.py  does this trigger fire for this change
    topics.py    a SubscriptionTopic made ready for one FHIR version
    filters.py   the filters of one Subscription made ready against its topic
    forms.py     what filters have in common that differ in their values only
    index.py     MatchIndex: which Subscriptions a change concerns
    shelf.py     where each kind of Subscription lies in it: source · thresholds · postings · entries;
                 what they stand on: pieces · uuids

What cannot be decided exactly is refused when it is compiled (HOUSE decision 9); what fails while it is evaluated
counts as not matched and is handed to the caller's ``report``, never dropped (S-042).
"""
