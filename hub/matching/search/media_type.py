"""``:below`` on codes that are media types: a part of the type, without parameters (S-251)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hub.errors import Malformed
from hub.fhir.definitions import SearchParameter
from hub.matching.search.syntax import unescape

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*(?:/[a-z0-9][a-z0-9!#$&^_.+-]*)?")
_ELEMENTS = (".contentType", ".channel.payload", "Subscription.contentType")


def holds_media_types(parameter: SearchParameter) -> bool:
    """Is every element that the parameter looks at a media type?"""
    paths = [path.strip() for path in parameter.expression.split("|")]
    return parameter.type == "token" and all(path.endswith(_ELEMENTS) for path in paths)


@dataclass(frozen=True, slots=True)
class MediaTypeBelow:
    """``image`` accepts ``image/png``; ``text/xml`` accepts ``text/xml;charset=utf-8``. Case does not count."""

    media_type: str

    keys = None

    def accepts(self, fhir_type: str, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        found = value.partition(";")[0].strip().lower()
        return found == self.media_type or ("/" not in self.media_type and found.startswith(self.media_type + "/"))


def compile_media_type(text: str) -> MediaTypeBelow:
    written = unescape(text).lower()
    if not _MEDIA_TYPE.fullmatch(written):
        raise Malformed(f"'{text}' is no part of a media type; write image or text/xml.")
    return MediaTypeBelow(written)
