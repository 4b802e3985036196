"""Bad input gets 4xx with an OperationOutcome and changes nothing; never a 5xx, never a hang (SECURITY C1, E1)."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import BACKPORT, patient, subscription, topic
from tests.api.harness import BASES, FHIR_JSON, RunningHub, check, raw_call, running_hub, snapshot, until_quiet

ID = "known"
NOWHERE = "http://127.0.0.1:2001/"
MOST_BYTES = 64 * 1024
MIME = (b"content-type", FHIR_JSON.encode())


@pytest.fixture(scope="module")
async def target(api_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHub]:
    """A hub that holds a Patient, a Subscription (off) and a topic on every base."""
    folder = tmp_path_factory.mktemp("bad-input")
    async with running_hub(f"{api_redis_url}?db=4", folder, max_body_bytes=MOST_BYTES) as hub:
        for base in BASES:
            api = hub.api(base)
            await api.put(f"Patient/{ID}", patient(ID))
            await api.put(f"Subscription/{ID}", subscription(base, NOWHERE, id=ID, status="off"))
            await api.put(f"SubscriptionTopic/{ID}", topic(base, "http://example.org/known") | {"id": ID})
        await until_quiet(hub.hub)
        yield hub


@pytest.fixture(scope="module", autouse=True)
async def nothing_changes(target: RunningHub) -> AsyncIterator[None]:
    """Whatever the tests of this file send: what is stored stays as it was."""
    before = await snapshot(target.hub)
    yield
    assert await snapshot(target.hub) == before


def nested(depth: int, opening: str = '{"extension":[', closing: str = "]}") -> bytes:
    return f'{{"resourceType":"Patient","id":"{ID}","contained":[{opening * depth}{closing * depth}]}}'.encode()


def patient_with(inner: bytes) -> bytes:
    return b'{"resourceType":"Patient","id":"%s",%s}' % (ID.encode(), inner)


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "spaces": b"   \n",
    "no JSON": b"resourceType=Patient",
    "XML": b'<Patient xmlns="http://hl7.org/fhir"/>',
    "half an object": b'{"resourceType":"Patient","id":"known"',
    "two objects": patient_with(b'"active":true') * 2,
    "trailing comma": patient_with(b'"active":true,'),
    "comment": b'{"resourceType":"Patient", /* x */ "id":"known"}',
    "single quotes": b"{'resourceType':'Patient','id':'known'}",
    "array": b'[{"resourceType":"Patient","id":"known"}]',
    "string": b'"Patient"',
    "number": b"1",
    "null": b"null",
    "empty object": b"{}",
    "another type": b'{"resourceType":"Observation","id":"known"}',
    "type in small letters": b'{"resourceType":"patient","id":"known"}',
    "type null": b'{"resourceType":null,"id":"known"}',
    "type list": b'{"resourceType":["Patient"],"id":"known"}',
    "too deep by objects": nested(70),
    "too deep by arrays": nested(70, "[", "]"),
    "absurdly deep": nested(9000, "[", "]"),
    "absurdly deep and open": b"[" * 60_000,
    "closing too much": patient_with(b'"active":true') + b"}" * 100,
    "too large": patient_with(b'"x":"' + b"a" * MOST_BYTES + b'"'),
    "key twice": patient_with(b'"active":true,"active":false'),
    "key twice by escapes": patient_with(b'"active":true,"\\u0061ctive":false'),
    "key twice deep down": patient_with(b'"name":[{"family":"a","family":"b"}]'),
    "type twice": b'{"resourceType":"Patient","resourceType":"Patient","id":"known"}',
    "NaN": patient_with(b'"x":NaN'),
    "Infinity": patient_with(b'"x":-Infinity'),
    "5000 digits": patient_with(b'"x":' + b"9" * 5000),
    "5000 decimals": patient_with(b'"x":0.' + b"9" * 5000),
    "huge exponent": patient_with(b'"x":1e999999999'),
    "tiny exponent": patient_with(b'"x":1e-999999999'),
    "leading zero": patient_with(b'"x":01'),
    "lone high surrogate": patient_with(b'"x":"\\ud800"'),
    "lone low surrogate": patient_with(b'"x":"\\udc00"'),
    "surrogates exchanged": patient_with(b'"x":"\\udc00\\ud800"'),
    "surrogate in a key": patient_with(b'"\\ud800":1'),
    "surrogate in UTF-8": patient_with(b'"x":"\xed\xa0\x80"'),
    "control character": patient_with(b'"x":"a\x00b"'),
    "Latin-1": patient_with(b'"x":"caf\xe9"'),
    "overlong UTF-8": patient_with(b'"x":"\xc0\xaf"'),
    "UTF-16": json.dumps(patient(ID)).encode("utf-16"),
    "UTF-16 without mark": json.dumps(patient(ID)).encode("utf-16-le"),
    "UTF-32": json.dumps(patient(ID)).encode("utf-32"),
    "two byte order marks": b"\xef\xbb\xbf" * 2 + orjson.dumps(patient(ID)),
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "bad escape": patient_with(b'"x":"\\x41"'),
    "id is a number": b'{"resourceType":"Patient","id":1}',
    "id is an object": b'{"resourceType":"Patient","id":{}}',
    "id is null": b'{"resourceType":"Patient","id":null}',
    "another id": b'{"resourceType":"Patient","id":"another"}',
    "no id": b'{"resourceType":"Patient"}',
    "meta is a string": patient_with(b'"meta":"x"'),
    "meta is a list": patient_with(b'"meta":[]'),
    "meta is null": patient_with(b'"meta":null'),
}
ONLY_FOR_PUT = {"another id", "no id", "id is a number", "id is null"}
"""A create names the resource itself, whatever id came along."""


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_resource_is_refused(target: RunningHub, base: FhirVersion, name: str) -> None:
    body = BODIES[name]
    paths = [("PUT", f"{base.path}/Patient/{ID}")]
    if name not in ONLY_FOR_PUT:
        paths += [("POST", f"{base.path}/Patient")]
    for method, path in paths:
        check(await raw_call(target.app, method, path.encode(), b"", [MIME], body), name)


@pytest.mark.parametrize("name", [name for name in BODIES if name not in ("another id", "no id")])
async def test_the_rooms_of_their_own_refuse_the_same_bodies(target: RunningHub, base: FhirVersion, name: str) -> None:
    for room in ("Subscription", "SubscriptionTopic"):
        body = BODIES[name].replace(b'"Patient"', b'"%s"' % room.encode())
        for method, path in (("PUT", f"{room}/{ID}"), ("POST", room)):
            check(await raw_call(target.app, method, f"{base.path}/{path}".encode(), b"", [MIME], body), name)
    operation = f"{base.path}/Subscription/{ID}/$events".encode()
    body = BODIES[name].replace(b'"Patient"', b'"Parameters"').replace(b'"id"', b'"parameter":[{"name":"x"}],"id"')
    if body:
        check(await raw_call(target.app, "POST", operation, b"", [MIME], body), name)


GOOD = orjson.dumps(patient(ID))
HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "no media type": [],
    "XML": [(b"content-type", b"application/fhir+xml")],
    "form": [(b"content-type", b"application/x-www-form-urlencoded")],
    "Latin-1": [(b"content-type", b"application/fhir+json; charset=iso-8859-1")],
    "another version": [(b"content-type", b"application/fhir+json; fhirVersion=1.0")],
    "two media types": [MIME, (b"content-type", b"text/plain")],
    "media type beyond ASCII": [(b"content-type", b"application/fhir+js\xc3\xb6n")],
    "compressed": [MIME, (b"content-encoding", b"gzip")],
    "announced too large": [MIME, (b"content-length", b"999999999")],
    "announced with 5000 digits": [MIME, (b"content-length", b"9" * 5000)],
    "If-Match without quotes": [MIME, (b"if-match", b"1")],
    "If-Match of nothing": [MIME, (b"if-match", b"")],
    "If-Match of a word": [MIME, (b"if-match", b'W/"x"')],
    "If-Match of zero": [MIME, (b"if-match", b'W/"0"')],
    "If-Match of 5000 digits": [MIME, (b"if-match", b'W/"' + b"9" * 5000 + b'"')],
    "If-Match of two": [MIME, (b"if-match", b'W/"1", W/"2"')],
    "If-Match twice": [MIME, (b"if-match", b'W/"1"'), (b"if-match", b'W/"1"')],
    "If-Match of a star": [MIME, (b"if-match", b"*")],
    "If-Match beyond ASCII": [MIME, (b"if-match", 'W/"\u0661"'.encode())],
    "key beyond ASCII": [MIME, (b"idempotency-key", b"caf\xc3\xa9")],
    "key with a control character": [MIME, (b"idempotency-key", b"a\x01b")],
    "empty key": [MIME, (b"idempotency-key", b'""')],
    "request id beyond ASCII": [MIME, (b"x-request-id", b"\xff\xfe")],
    "correlation beyond ASCII": [MIME, (b"x-correlation-id", b"\xff\xfe")],
    "Prefer beyond ASCII": [MIME, (b"prefer", b"return=\xff")],
    "Accept beyond ASCII": [MIME, (b"accept", b"\xff")],
    "Accept of something else": [MIME, (b"accept", b"text/turtle")],
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_header_that_cannot_be_understood_refuses_the_write(
    target: RunningHub, base: FhirVersion, name: str
) -> None:
    path = f"{base.path}/Patient/{ID}".encode()
    check(await raw_call(target.app, "PUT", path, b"", HEADERS[name], GOOD))


PATHS: dict[str, tuple[bytes, bytes]] = {
    "id too long": (b"Patient/" + b"a" * 65, b""),
    "id with a blank": (b"Patient/a%20b", b""),
    "id with an underscore": (b"Patient/a_b", b""),
    "id beyond ASCII": (b"Patient/%C3%A9", b""),
    "id of full-width letters": (b"Patient/%EF%BD%81", b""),
    "id with a zero byte": (b"Patient/a%00", b""),
    "id with a line end": (b"Patient/known%0A", b""),
    "broken escape in the path": (b"Patient/%zz", b""),
    "broken UTF-8 in the path": (b"Patient/%ff%fe", b""),
    "surrogate in the path": (b"Patient/%ED%A0%80", b""),
    "dots": (b"Patient/../../r5/Patient/known", b""),
    "slash in the id": (b"Patient/a%2Fb%2Fc", b""),
    "type beyond ASCII": (b"Pati%C3%A9nt/1", b""),
    "type with a zero byte": (b"Patient%00/1", b""),
    "very long": (b"Patient/" + b"a/" * 5000, b""),
    "version of words": (b"Patient/known/_history/one", b""),
    "version zero": (b"Patient/known/_history/0", b""),
    "negative version": (b"Patient/known/_history/-1", b""),
    "version of 5000 digits": (b"Patient/known/_history/" + b"9" * 5000, b""),
    "version of other digits": (b"Patient/known/_history/%D9%A1", b""),
    "unknown operation": (b"Subscription/known/$%ff", b""),
    "broken escape in the query": (b"Subscription", b"status=%zz"),
    "broken UTF-8 in the query": (b"Subscription", b"status=%ff"),
    "surrogate in the query": (b"Subscription", b"status=%ED%A0%80"),
    "raw bytes in the query": (b"Subscription", b"status=\xff"),
    "2000 parameters": (b"Subscription", b"status=active&" * 2000),
    "unknown status": (b"Subscription", b"status=asleep"),
    "unknown parameter": (b"Subscription", b"unicorn=1"),
    "parameter without a name": (b"Subscription", b"=1"),
    "unknown modifier": (b"Subscription", b"url:under=http://x"),
    "count of words": (b"Subscription", b"_count=many"),
    "negative count": (b"Subscription", b"_count=-1"),
    "count of 5000 digits": (b"Subscription", b"_count=" + b"9" * 5000),
    "count of other digits": (b"Subscription", b"_count=%C2%B2"),
    "sorting": (b"Subscription", b"_sort=status"),
    "including": (b"Subscription", b"_include=*"),
    "format": (b"Subscription", b"_format=ttl"),
    "id that is none": (b"Subscription/$status", b"id=a%2Fb"),
    "status that is none": (b"Subscription/$status", b"status=x"),
    "number of words": (b"Subscription/known/$events", b"eventsSinceNumber=one"),
    "number of other digits": (b"Subscription/known/$events", b"eventsSinceNumber=%D9%A1"),
    "numbers exchanged": (b"Subscription/known/$events", b"eventsSinceNumber=2&eventsUntilNumber=1"),
    "parameter of a read": (b"Patient/known", b"_elements=id"),
    "parameter of metadata": (b"metadata", b"mode=terminology"),
}


@pytest.mark.parametrize("name", PATHS)
async def test_an_address_that_means_nothing_is_refused(target: RunningHub, base: FhirVersion, name: str) -> None:
    path, query = PATHS[name]
    for method in ("GET", "DELETE"):
        check(await raw_call(target.app, method, f"{base.path}/".encode() + path, query))


def _changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    *owners, last = path.split(".")
    owner: Any = changed
    for name in owners:
        owner = owner[int(name)] if isinstance(owner, list) else owner[name]
    owner[int(last) if isinstance(owner, list) else last] = value
    return changed


ODD_VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**18, "", "x" * 5000, [], {}, [None], [[]], {"a": 1}, "\u0000", " "]
R5_ELEMENTS = (
    "status", "topic", "channelType", "channelType.code", "endpoint", "contentType", "content", "maxCount",
    "filterBy",
)  # fmt: skip
BACKPORT_ELEMENTS = (
    "status", "criteria", "channel", "channel.type", "channel.endpoint", "channel.payload",
    "channel._payload.extension",
)  # fmt: skip


OPTIONAL = ("content", "contentType", "filterBy", "maxCount", "meta", "version", "title")
NOTHING = (None, "", [], {})
"""An optional element that says nothing counts as absent."""


async def test_elements_of_a_subscription_with_absurd_values_are_refused(target: RunningHub, base: FhirVersion) -> None:
    """Each is wrong somewhere; some make the models of fhir.resources fall over."""
    good = subscription(base, NOWHERE, id=ID, status="off")
    for element in R5_ELEMENTS if base is FhirVersion.R5 else BACKPORT_ELEMENTS:
        for value in ODD_VALUES:
            if element in OPTIONAL and value in NOTHING:
                continue
            body = orjson.dumps(_changed(good, element, value))
            path = f"{base.path}/Subscription/{ID}".encode()
            answer = await raw_call(target.app, "PUT", path, b"", [MIME], body)
            check(answer, (element, value))


ABSURD_FILTERS = [
    "", "=", "&", "a", "a=", "=a", "Patient?a", "Unicorn?a=1", "patient?gender=male", "gender:=male",
    "gender:not:not=x", "gender=%ff", "a.b.c.d=1", "_has:Observation:patient:code=1", "gender:in=http://x",
    "gender:text=x", "_filter=x", "_text=x", "gender:unknown=male", "birthdate=gt", "birthdate=gt20x",
    "birthdate=2020-99", "gender=male&", "Encounter.patient=1", "\u0000=1", "gender=" + ",".join(["x"] * 5000),
    "?gender=male", "//Patient?gender=male",
]  # fmt: skip


@pytest.mark.parametrize("written", ABSURD_FILTERS, ids=[each[:30] for each in ABSURD_FILTERS])
@pytest.mark.parametrize("base", [FhirVersion.R4, FhirVersion.R4B])
async def test_broken_filter_criteria_are_refused(target: RunningHub, base: FhirVersion, written: str) -> None:
    body = subscription(base, NOWHERE, id=ID, status="off")
    extension = {"url": BACKPORT + "backport-filter-criteria", "valueString": written}
    body["_criteria"] = {"extension": [extension]}
    path = f"{base.path}/Subscription/{ID}".encode()
    check(await raw_call(target.app, "PUT", path, b"", [MIME], orjson.dumps(body)))


ABSURD_TRIGGERS: list[Any] = [
    {"fhirPathCriteria": text}
    for text in (
        "", " ", "(", ")", "a..b", "'", "`", "1 +", "a and", "%", "%unknown", "$this.$that", "a.b(", "where(", "{",
        "a = = b", "@2020-13-45T99", "1 'mg' 'mg'", "iif()", "ofType()", "as(1)", "resolve(1)", "exists(1,2,3)",
        "\u0000", "a" * 70_000, "a." * 5000 + "a", "((((" * 2000, "-" * 5000 + "1", "not " * 3000,
        "a or " * 5000 + "a or", "matches('(a+)+$')(", "'\\ud800'", "'\\u'", "/* open", "// only", "a.repeat(",
        "[" * 500, "a[-1][",
    )
] + [
    {"queryCriteria": {"current": text}}
    for text in (
        "=", "&&", "code", "code=", "unicorn=1", "code:unknown=1", "code=%zz", "code=%ff", "_sort=date",
        "_include=Basic:subject", "_count=1", "created=gt", "created=gtyesterday", "subject.name.family=x",
        "_has:Basic:subject:code=1", "code:in=http://x", "Patient?code=1", "code:missing=perhaps",
    )
] + [
    {"resource": each}
    for each in ("", "basic", "Basic ", "Basic|1", "http://hl7.org/fhir/StructureDefinition/", "../x")
] + [
    {"supportedInteraction": each} for each in ("create", ["read"], [1], [None], {}, [["create"]])
] + [
    {"queryCriteria": each}
    for each in ("x", [], [{}], 1, {"current": 1}, {"current": ["a"]}, {"requireBoth": "true", "current": "code=1"})
]  # fmt: skip


@pytest.mark.parametrize("base", [FhirVersion.R4B, FhirVersion.R5])
async def test_absurd_topics_are_refused(target: RunningHub, base: FhirVersion) -> None:
    for trigger in ABSURD_TRIGGERS:
        body = topic(base, "http://example.org/known") | {"id": ID}
        body["resourceTrigger"][0] |= trigger
        encoded = json.dumps(body).encode()
        path = f"{base.path}/SubscriptionTopic/{ID}".encode()
        check(await raw_call(target.app, "PUT", path, b"", [MIME], encoded[: MOST_BYTES * 2]), str(trigger)[:200])


@pytest.mark.parametrize("base", [FhirVersion.R4B, FhirVersion.R5])
async def test_elements_of_a_topic_with_absurd_values_are_refused(target: RunningHub, base: FhirVersion) -> None:
    good = topic(base, "http://example.org/known") | {"id": ID, "canFilterBy": [{"filterParameter": "code"}]}
    good["notificationShape"] = [{"resource": "Basic"}]
    elements = (
        "url", "status", "resourceTrigger", "resourceTrigger.0", "resourceTrigger.0.resource", "canFilterBy.0",
        "canFilterBy.0.filterParameter", "notificationShape.0.resource", "meta", "version", "title",
    )  # fmt: skip
    path = f"{base.path}/SubscriptionTopic/{ID}".encode()
    for element in elements:
        for value in ODD_VALUES:
            if (element in TEXTS and isinstance(value, str) and value) or (element in OPTIONAL and value in NOTHING):
                continue
            body = orjson.dumps(_changed(good, element, value))
            check(await raw_call(target.app, "PUT", path, b"", [MIME], body), (element, value))


TEXTS = ("version", "title", "canFilterBy.0.filterParameter")
"""Any text may stand here; a filter that is no search parameter is warned of (S-057)."""
