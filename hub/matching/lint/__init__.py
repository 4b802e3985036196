"""The lint of topics: what is wrong with a topic in one FHIR version, what has no effect, what could be said better.

One rule is one function from a ``Subject`` to ``Issue``s, each with its level and the path of its element:

    error         the topic is refused: it cannot be decided exactly, or a trigger of it can never fire
    warning       it is taken, but something in it has no effect, or not the one that is meant
    information   a hint: the hub knows what is meant, others may not

Nothing is guessed: a rule speaks only where the topic, the tables of the version and the logic of FHIRPath leave no
doubt. The same function serves the write of a topic, the files of an operator and ``hub topics check``.
"""

from __future__ import annotations

from hub.matching.lint.check import ERROR, HINT, WARNING, CheckedTopic, check_topic

__all__ = ["ERROR", "HINT", "WARNING", "CheckedTopic", "check_topic"]
