"""Runs the attacks of tests/attacks.sh: play.py PORT PROXY_PORT PROCESS. Runs itself again with an Authorization header
as a fourth argument for the flood of large messages.

The gateway at PORT is the process PROCESS; a proxy that it trusts listens at PROXY_PORT. Hostile clients connect from
127.0.0.2 and further addresses, users from 127.0.0.3. At the end the gateway is stopped in the middle of an attack.
"""

import asyncio
import json
import os
import resource
import signal
import statistics
import sys
import time

PORT, PROXY, PROCESS = (int(word) for word in sys.argv[1:4])
HOSTILE, USER = "127.0.0.2", "127.0.0.3"
# As tests/attacks.sh sets them, in seconds.
HEADER_TIMEOUT, BODY_TIMEOUT = 3, 5
# More than any deadline, less than the timeout of an idle connection.
MARGIN = 5
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "attacks", "version": "1"},
    },
}


def check(holds, what):
    print(("holds:  " if holds else "FAILS:  ") + what, flush=True)
    if not holds:
        sys.exit(1)


def resident():
    """Returns the resident memory of the gateway in MiB."""
    with open(f"/proc/{PROCESS}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def open_files():
    return len(os.listdir(f"/proc/{PROCESS}/fd"))


def post(path, body, headers=""):
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


class Client:
    """One connection."""

    @classmethod
    async def open(cls, source, port=PORT):
        self = cls()
        self.reader, self.writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)), 10
        )
        return self

    async def send(self, data):
        try:
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), 10)
        except (OSError, asyncio.TimeoutError):
            pass

    async def answer(self, wait=30):
        """Returns status and body, or (0, b"") if the connection ends without a response."""
        try:
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), wait)
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            return int(head.split()[1]), await asyncio.wait_for(self.reader.readexactly(length), wait)
        except (OSError, asyncio.IncompleteReadError):
            return 0, b""

    async def ask(self, data, wait=30):
        await self.send(data)
        return await self.answer(wait)

    async def is_closed_within(self, seconds):
        end = time.monotonic() + seconds
        try:
            while await asyncio.wait_for(self.reader.read(65536), max(0.01, end - time.monotonic())):
                pass
            return True
        except asyncio.TimeoutError:
            return False
        except OSError:
            return True

    def close(self):
        self.writer.transport.abort()


async def all_of(tasks):
    return await asyncio.gather(*tasks)


async def opened(source, count):
    """Opens connections; the result includes those that the gateway refuses."""
    clients = []
    for _ in range(count):
        clients.append(await Client.open(source))
    return clients


async def close_all(clients):
    for client in clients:
        client.close()
    await asyncio.sleep(0.3)


async def users(count):
    """Registers users and uses each key once, so that the gateway has cached it; returns one request per key."""
    client, requests = await Client.open(USER), []
    for number in range(count):
        status, body = await client.ask(post("/api/users/register", json.dumps({"name": f"user {number}"}).encode()))
        assert status == 201, (status, body)
        key = json.loads(body)["api_key"]
        requests.append(post("/mcp", json.dumps(INITIALIZE).encode(), f"Authorization: Bearer {key}\r\n"))
        assert (await client.ask(requests[-1]))[0] == 200
    client.close()
    return requests


async def served(request, source, calls=20):
    """Returns how long a user waits for each response, in milliseconds, with one connection per request."""
    took = []
    for _ in range(calls):
        begin = time.monotonic()
        client = await Client.open(source)
        status, _ = await client.ask(request)
        took.append((time.monotonic() - begin) * 1000)
        client.close()
        check(status == 200, f"a user at {source} is served") if status != 200 else None
    return took


async def bodies(request):
    before = resident()
    clients = await opened(HOSTILE, 200)
    body = b"x" * 1_000_000
    head = post("/register", body + b"more")[: -len(body) - 4]
    await all_of([client.send(head + body) for client in clients])
    await served(request, USER)
    grown = resident() - before
    check(grown < 80, f"200 bodies of 1 MB that stall at /register: {grown:.0f} MiB more resident (less than 80)")
    await close_all(clients)

    clients = await opened(HOSTILE, 200)
    await all_of([client.send(post("/register", b"x" * 16_000)[:-1_000]) for client in clients])
    await served(request, USER)
    grown = resident() - before
    answers = await all_of([client.answer(BODY_TIMEOUT + MARGIN) for client in clients])
    refused, late = (sum(status == expected for status, _ in answers) for expected in (429, 408))
    check(refused >= 130, f"of 200 small bodies that stall {refused} are refused at once (429)")
    check(refused + late == 200, f"and {late} get 408 after {BODY_TIMEOUT} s")
    check(grown < 80, f"with {grown:.0f} MiB more resident (less than 80)")
    closed = await all_of([client.is_closed_within(MARGIN) for client in clients])
    check(all(closed), "and all their connections are closed")


async def heads(request):
    clients = await opened(HOSTILE, 200)
    answers = await all_of([client.ask(HEALTH) for client in clients[100:]])
    check(all(status == 200 for status, _ in answers), "100 first requests are answered")
    await all_of([client.send(HEALTH[:20]) for client in clients])
    await served(request, USER)
    begin = time.monotonic()
    closed = await all_of([client.is_closed_within(HEADER_TIMEOUT + MARGIN) for client in clients])
    took = time.monotonic() - begin
    check(all(closed), f"100 half heads and 100 half second heads are closed after {took:.1f} s")


async def connections(request):
    clients = await opened(HOSTILE, 1_000)
    answers = await all_of([client.ask(HEALTH) for client in clients])
    held = sum(status == 200 for status, _ in answers)
    check(held <= 256, f"of 1,000 connections of one source {held} stay open (at most 256)")
    took = await served(request, USER)
    median = statistics.median(took)
    check(True, f"a user of another source is served in {median:.0f} ms, with {open_files()} open files of 1,024")

    further = []
    for last in range(10, 16):
        further += await opened(f"127.0.0.{last}", 300)
    answers = await all_of([client.ask(HEALTH) for client in further])
    held += sum(status == 200 for status, _ in answers)
    took = await served(request, USER)
    median = statistics.median(took)
    check(held < 760, f"seven hostile sources hold {held} connections, and {open_files()} files are open")
    check(True, f"a user of another source is served in {median:.0f} ms")
    await close_all(clients + further)


async def proxied(requests):
    hostile = await opened(HOSTILE, 1_000)
    answers = await all_of([client.ask(HEALTH) for client in hostile])
    held = sum(status == 200 for status, _ in answers)
    clients = await all_of([Client.open(USER, PROXY) for _ in requests])
    begin = time.monotonic()
    answers = await all_of([client.ask(request, 60) for client, request in zip(clients, requests)])
    took = time.monotonic() - begin
    served_users = sum(status == 200 for status, _ in answers)
    others = sorted({status for status, _ in answers} - {200})
    check(
        served_users == len(requests),
        f"{served_users} of {len(requests)} users at once behind nginx are served in {took:.1f} s, while one source "
        f"holds {held} connections {others or ''}",
    )
    await close_all(hostile + clients)


async def flood(authorization):
    """Sends large messages for five seconds over 16 connections; prints the number of messages."""
    ends = time.monotonic() + 5

    async def send(size):
        arguments = {"search": [{"a": number} for number in range(size // 12)]}
        call = {"name": "list_guests", "arguments": arguments}
        message = json.dumps({**INITIALIZE, "method": "tools/call", "params": call}).encode()
        request = post("/mcp", message, authorization + "\r\n")
        sent = 0
        while time.monotonic() < ends:
            client = await Client.open(HOSTILE)
            await client.ask(request)
            client.close()
            sent += 1
        return sent

    print(sum(await all_of([send(1_000_000) for _ in range(8)] + [send(100_000) for _ in range(8)])))


async def large_messages(requests):
    quiet = statistics.median(await served(requests[1], USER, 50))
    authorization = next(line for line in requests[0].split(b"\r\n") if line.startswith(b"Authorization"))
    # In a separate process, so that the user's times measure only the gateway.
    flooding = await asyncio.create_subprocess_exec(
        sys.executable, *sys.argv[:4], authorization.decode(), stdout=asyncio.subprocess.PIPE
    )
    ending, took = asyncio.create_task(flooding.communicate()), []
    while not ending.done():
        took += await served(requests[1], USER, 1)
        await asyncio.sleep(0.01)
    sent, during = int((await ending)[0]), statistics.median(took)
    check(
        during < 100,
        f"{sent} large messages over 16 connections: p50 of another user {quiet:.0f} ms before, "
        f"{during:.0f} ms during it (less than 100)",
    )


async def stop():
    clients = await opened(HOSTILE, 150)
    await all_of([client.ask(HEALTH) for client in clients[:50]])
    await all_of([client.send(HEALTH[:20]) for client in clients[:100]])
    await all_of([client.send(post("/register", b"x" * 16_000)[:-1_000]) for client in clients[100:]])
    await asyncio.sleep(0.5)
    begin = time.monotonic()
    os.kill(PROCESS, signal.SIGTERM)
    while time.monotonic() < begin + 20 and os.path.exists(f"/proc/{PROCESS}/fd") and runs():
        await asyncio.sleep(0.05)
    took = time.monotonic() - begin
    check(took < 4, f"a stop with 100 half heads and 50 unfinished bodies takes {took:.1f} s (less than 4)")


def runs():
    """Returns whether the process runs; one that ended stays a zombie until its parent waits for it."""
    with open(f"/proc/{PROCESS}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


async def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    requests = await users(500)
    print(f"500 users; {resident():.0f} MiB resident, {open_files()} open files", flush=True)
    await bodies(requests[0])
    await heads(requests[0])
    await connections(requests[0])
    await proxied(requests)
    await large_messages(requests)
    await stop()


asyncio.run(flood(sys.argv[4]) if len(sys.argv) > 4 else main())
