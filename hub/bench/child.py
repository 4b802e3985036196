"""A process of the benchmark that is told what to do in JSON lines and answers each with one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

LONGEST_ANSWER = 1 << 30
STOP_SECONDS = 10.0
Json = dict[str, Any]


class ChildFailed(Exception):
    """A process of the benchmark ended or could not do what it was told."""


class Child:
    """The parent's side: ``await child.ask(do="…")``."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Json:
        """Start it; what comes back is the first thing that it says. Raises ChildFailed."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_ANSWER,
            start_new_session=True,
        )  # fmt: skip
        return await self._answer()

    async def ask(self, **command: Any) -> Json:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await self._answer()

    async def stop(self) -> None:
        """It ends when its input does."""
        if self._process and self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _answer(self) -> Json:
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"{self._module} ended with exit code {await self._process.wait()}")
        answer: Json = json.loads(line)
        return answer


async def obey(hello: Json, handle: Callable[[Json], Awaitable[Json]]) -> int:
    """The child's side: say ``hello``, then answer every command until the input ends. The exit code comes back."""
    say(hello)
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await handle(json.loads(line)))
    return 0


def say(answer: Json) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def run(main: Callable[[], Awaitable[int]]) -> None:
    """As the main function of a child: on uvloop, as the hub is."""

    async def whole() -> int:
        return await main()

    try:
        import uvloop
    except ImportError:
        code = asyncio.run(whole())
    else:
        code = uvloop.run(whole())
    sys.exit(code)
