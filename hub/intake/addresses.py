"""Where the entries of a transaction are found after it, so that references to them become literal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub.fhir.bundle_entries import BundleEntry


@dataclass(frozen=True, slots=True)
class Addresses:
    """Reference -> what it becomes: everywhere, and relative ones by the root of the fullUrl of their entry."""

    everywhere: dict[str, str]
    below: dict[str, dict[str, str]]

    def add(self, entry: BundleEntry, reference: str) -> None:
        """``reference`` is where the resource of ``entry`` is found after the transaction."""
        full_url = entry.full_url
        if not full_url or entry.method not in ("POST", "PUT", "PATCH"):
            return
        root, relative = _split(full_url)
        if relative != reference:
            self.everywhere[full_url] = reference
            if relative:
                self.below.setdefault(root, {})[relative] = reference

    def of(self, entry: BundleEntry) -> Mapping[str, str]:
        """What is to be replaced in the resource of ``entry``."""
        return self.everywhere | self.below.get(_split(entry.full_url)[0], {})


def _split(full_url: str) -> tuple[str, str]:
    """(root, Type/id) of a RESTful URL, ("", "") of a urn."""
    if not full_url.startswith(("http://", "https://")):
        return "", ""
    root, *named = full_url.rsplit("/", 2)
    return root, "/".join(named)
