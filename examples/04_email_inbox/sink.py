"""A mail server that delivers to the screen: takes every mail and prints it. Only Python's standard library.

    python3 sink.py [PORT]              2525 when not given; 0 takes a free one

It speaks just enough SMTP to be handed mail; it is no server for anything else.
"""

import asyncio
import sys
from email import message_from_bytes, policy

GREETING, HELLO, OK, GO_ON, BYE = "220 sink", "250 sink", "250 OK", "354 end with a dot", "221 bye"


def show(raw: bytes) -> None:
    """Print who, what and the words; of an attachment its first line."""
    mail = message_from_bytes(raw, policy=policy.default)
    print(f"--- mail to {mail['To']}\nSubject: {mail['Subject']}")
    for part in mail.walk():
        name = part.get_filename()
        if name:
            print(f"[{name}, {part.get_content_type()}] {part.get_content().decode()}")
        elif part.get_content_type() == "text/plain":
            print(f"\n{part.get_content()}")
    print("--- end", flush=True)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"{GREETING}\r\n".encode())
    while line := (await reader.readline()).upper().strip():
        reply, raw = OK, b""
        if line.startswith((b"EHLO", b"HELO")):
            reply = HELLO
        elif line == b"QUIT":
            reply = BYE
        elif line == b"DATA":
            writer.write(f"{GO_ON}\r\n".encode())
            raw = await reader.readuntil(b"\r\n.\r\n")
        writer.write(f"{reply}\r\n".encode())
        await writer.drain()
        if raw:  # whoever reads the screen may stop this server: the answer is on its way before
            show(raw[:-3].replace(b"\r\n..", b"\r\n."))  # a dot at the beginning of a line travels doubled
    writer.close()


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 2525
    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=2**24)
    print(f"mail server listens at 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
