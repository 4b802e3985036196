"""What a 2xx means, in a sentence for ``/metadata``, ``/health/ready`` and the first line that the hub writes."""

from __future__ import annotations

from hub.errors import CannotStart
from hub.settings import Settings
from hub.store.confirmation import Confirmation
from hub.store.embedded import EmbeddedRedis

IN_WORDS = {
    "relaxed": "2xx means: in memory and on its way to disk; a crash of the machine may lose about two seconds.",
    "local": "2xx means: on disk of this machine; losing the machine loses what was not copied elsewhere.",
    "replicated": "2xx means: on disk of the machine of Redis, and received by {replicas}; "
    "losing that machine loses nothing when one of those takes over.",
}


def durability_in_words(settings: Settings) -> str:
    """One plain sentence on what an answer of success promises at this level."""
    count = settings.replicas
    return IN_WORDS[settings.durability].format(replicas="one replica" if count == 1 else f"{count} replicas")


def confirmation(settings: Settings) -> Confirmation | None:
    """What must be heard before anything counts as written; None: the word of one Redis is enough.

    Raises CannotStart when the level needs a replica and the server is the embedded one, which has none.
    """
    if settings.durability != "replicated":
        return None
    if not settings.redis_url:
        raise CannotStart("HUB_DURABILITY=replicated needs HUB_REDIS_URL: the embedded server has no replica")
    return Confirmation(settings.replicas, settings.replica_timeout_ms)


def embedded_redis(settings: Settings) -> EmbeddedRedis | None:
    """The server that the hub runs itself, set up for the level; None: another one is configured."""
    if settings.redis_url:
        return None
    fsync = "everysec" if settings.durability == "relaxed" else "always"
    return EmbeddedRedis(settings.data_dir, server=settings.redis_server, fsync=fsync)
