"""The clients of a load, in a process of their own: the measuring side's work cannot delay them.

    python clients.py http://127.0.0.1:8000/app/answer CLIENTS EVERY_S SPREAD BODY

Each client keeps one connection. It asks again as soon as it was answered; or, when EVERY_S is not
0, whenever the clock shows a multiple of it, and then a request counts from when it was due: all
clients at once, or one after the other where SPREAD is 1. BODY is posted as JSON; "" gets. "ready"
is printed when every client has had its first answer, which is not counted. When stdin closes, the
rest is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

TIMEOUT_S = 60.0


class Connection:
    """A kept-alive HTTP/1.1 connection that sends one and the same request."""

    def __init__(self, url: str, body: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        head = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {parts.netloc}"]
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
        self._request = "\r\n".join([*head, "Accept: */*", "", body]).encode()
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self) -> tuple[int, bytes]:
        """Send the request; returns the status, 0 when there was no answer, and the body."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._asked()
        except (OSError, EOFError, ValueError) as error:  # a timeout is an OSError
            self.close()
            return 0, repr(error).encode()

    async def _asked(self) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, found, rest = head.partition(b"content-length:")
        if not found:
            raise ValueError("an answer without a length")
        body = await self._reader.readexactly(int(rest.partition(b"\r\n")[0]))
        if b"connection: close" in head:
            self.close()
        return int(head.split(maxsplit=2)[1]), body

    def close(self) -> None:
        """Close; the next request opens a new connection."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


async def ask_on(
    connection: Connection,
    every_s: float,
    late_s: float,
    first: asyncio.Event,
    stop: asyncio.Event,
    answers: list[list[object]],
) -> None:
    """One client: ask until told to stop; the first answer is not kept."""
    every_ns = int(every_s * 1e9)
    now = time.time_ns()
    due = now - now % every_ns + every_ns + int(late_s * 1e9) if every_ns else now
    while not stop.is_set():
        await asyncio.sleep(max(0, due - time.time_ns()) / 1e9)
        sent = time.time_ns()
        status, body = await connection.ask()
        done = time.time_ns()
        if first.is_set():
            answers.append([due if every_ns else sent, sent, done, status, body.decode()])
        first.set()
        due = due + every_ns if every_ns else done
    connection.close()


async def main(url: str, clients: int, every_s: float, spread: bool, body: str) -> None:
    """Run the clients until stdin closes."""
    stop, answers = asyncio.Event(), []
    firsts = [asyncio.Event() for _ in range(clients)]
    tasks = [
        asyncio.create_task(
            ask_on(
                Connection(url, body), every_s, spread * n * every_s / clients, each, stop, answers
            )
        )
        for n, each in enumerate(firsts)
    ]
    await asyncio.gather(*(each.wait() for each in firsts))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    await asyncio.gather(*tasks)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    url, clients, every_s, spread, body = sys.argv[1:]
    asyncio.run(main(url, int(clients), float(every_s), spread == "1", body))
