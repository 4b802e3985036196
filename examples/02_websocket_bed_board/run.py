"""The whole example: a small hospital, a bed board, and somebody who keeps pulling its plug.

    python3 run.py [HUB_BASE]           the hub must run: hub serve --dev

Exits 0 only when its last line holds.
"""

import asyncio
import json
import random
import sys
import uuid
from typing import Any

from board import HUB, Board, ask
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

STAYS = 150  # each is an admission, and most end with a discharge
CUTS = 6
PATIENCE_SECONDS = 120
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hal", "Ida", "Jon", "Kay", "Leo", "Mia", "Ned")


def encounter(identity: str, bed: str, patient: str, status: str) -> dict[str, Any]:
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return {
        "resourceType": "Encounter",
        "id": identity,
        "status": status,
        "class": [{"coding": [inpatient]}],
        "subject": {"display": patient},
        "location": [{"location": {"display": bed}}],
    }


class Hospital:
    """Writes Encounters to the hub; ``taken`` is the truth that the board must end up with."""

    def __init__(self, hub: str, run: str) -> None:
        self.hub = hub
        self.run = run
        self.taken: dict[str, str] = {}
        self.admissions = self.discharges = 0

    async def work(self) -> None:
        chance = random.Random(2)
        for number in range(STAYS):
            identity, bed = f"stay-{self.run}-{number}", f"bed {number}"
            patient = f"{chance.choice(NAMES)} {chance.choice('ABCDEFGHKLMNPRSTW')}."
            await self._put(encounter(identity, bed, patient, "in-progress"))
            self.taken[bed] = patient
            self.admissions += 1
            if chance.random() < 0.8:
                await self._put(encounter(identity, bed, patient, "completed"))
                del self.taken[bed]
                self.discharges += 1

    async def _put(self, resource: dict[str, Any]) -> None:
        await asyncio.to_thread(ask, "PUT", f"{self.hub}/Encounter/{resource['id']}", resource)


async def pull_the_plug(board: Board, hospital: Hospital) -> None:
    """Cut the board's connection without a word, again and again while the hospital works."""
    for cut in range(1, CUTS + 1):
        while hospital.admissions < STAYS * cut / (CUTS + 1) or board.connection is None or board.connections < cut:
            await asyncio.sleep(0.01)
        board.connection.transport.abort()


async def is_refused(board: Board) -> bool:
    """A token is good for one socket: the one that the board used last opens no other."""
    url = f"ws{board.hub.removeprefix('http')}/websocket"
    async with connect(url, proxy=None) as connection:
        await connection.send(f"bind-with-token {board.used_token}")
        try:
            outcome = json.loads(await connection.recv())
            await connection.recv()
        except ConnectionClosed as end:
            return bool(outcome["resourceType"] == "OperationOutcome" and end.rcvd and end.rcvd.code == 4401)
    return False


async def main() -> str:
    """The last line; ends the program when it would not be true."""
    hub, run = sys.argv[1] if len(sys.argv) > 1 else HUB, uuid.uuid4().hex[:8]
    board, hospital = Board(hub, f"board-{run}"), Hospital(hub, run)
    await board.subscribe()
    listening = asyncio.create_task(board.run())
    await asyncio.gather(hospital.work(), pull_the_plug(board, hospital))
    admissions, discharges = board.numbers.values()
    while len(admissions) < hospital.admissions or len(discharges) < hospital.discharges:
        await asyncio.sleep(0.01)
    if not await is_refused(board):
        sys.exit("a token that was used opened a second socket")
    listening.cancel()
    if admissions != list(range(1, hospital.admissions + 1)) or discharges != list(range(1, hospital.discharges + 1)):
        sys.exit("a number is missing, or came twice")
    if board.taken != hospital.taken:
        sys.exit(f"the board is wrong: {board.taken} instead of {hospital.taken}")
    return (
        f"The board is right: {len(board.taken)} beds taken after {hospital.admissions} admissions and "
        f"{hospital.discharges} discharges, {CUTS} cut connections, every number once and in order."
    )


try:
    print(asyncio.run(asyncio.wait_for(main(), PATIENCE_SECONDS)))
except TimeoutError:
    sys.exit(f"it was not done within {PATIENCE_SECONDS} s")
