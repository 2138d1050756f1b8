"""The checks that every client runs; the same as in checks.mjs.

`connect` takes the URL and an API key and returns an async context manager that yields a Connection.
"""

import asyncio
import json
import os
import re
import sys
import traceback
from dataclasses import dataclass
from typing import Any, Awaitable, Callable

URL, CONNECTED, UNCONNECTED = (os.environ[name] for name in ("MCP_URL", "CONNECTED_KEY", "UNCONNECTED_KEY"))


@dataclass
class Connection:
    """A client that has negotiated a revision: results are dictionaries, as on the wire."""

    revision: str
    tools: Callable[[], Awaitable[list[dict]]]
    call: Callable[[str, dict], Awaitable[dict]]


def text_of(result: dict) -> str:
    return "\n".join(block.get("text", "") for block in result["content"])


def answer(result: dict) -> Any:
    """Returns the record or page of a tool result."""
    assert not result.get("isError"), text_of(result)
    return result.get("structuredContent") or json.loads(text_of(result))


async def lists_the_tools(client: Connection, note: str) -> None:
    tools = await client.tools()
    names = {tool["name"] for tool in tools}
    assert {"list_properties", "get_guest", "update_guest"} <= names, names
    for tool in tools:
        assert tool["description"] and tool["inputSchema"]["type"] == "object", tool


async def reads(client: Connection, note: str) -> None:
    items = answer(await client.call("list_properties", {"limit": 2}))["items"]
    assert len(items) == 2 and all(item["id"] and item["name"] for item in items), items


async def writes_and_what_it_wrote_is_there(client: Connection, note: str) -> None:
    guests = answer(await client.call("list_guests", {"created_since_utc": "2001-01-01T00:00:00Z", "limit": 1}))
    guest = guests["items"][0]["id"]
    answer(await client.call("update_guest", {"id": guest, "notes": note}))
    found = answer(await client.call("get_guest", {"id": guest}))["notes"]
    assert found == note, found


async def a_wrong_argument_is_named_with_what_is_allowed(client: Connection, note: str) -> None:
    result = await client.call("list_properties", {"limit": 1_000_000})
    assert result["isError"] and re.search(r"`limit`.*100", text_of(result), re.DOTALL), result


async def takes_answers_that_it_was_shown_the_schema_of_tables_included(client: Connection, note: str) -> None:
    listed = next(tool for tool in await client.tools() if tool["name"] == "list_properties")
    assert listed["outputSchema"]["type"] == "object", listed
    answer(await client.call("list_properties", {"limit": 2}))
    assert "\n" in answer(await client.call("list_properties", {"limit": 2, "format": "table"}))["table"]
    answer(await client.call("who_is_staying", {"fields": ["counts"]}))
    assert (await client.call("list_properties", {"limit": 1_000_000}))["isError"]


async def an_account_that_is_not_connected_gets_a_link(stranger: Connection, note: str) -> None:
    result = await stranger.call("list_properties", {})
    text = text_of(result)
    assert result["isError"] and re.search(r"http://127\.0\.0\.1:\d+/\S+", text) and "connect" in text.lower(), result


async def check(name: str, key: str, connect: Callable[[str, str], Any], *wanted: Callable, chosen: str = "") -> bool:
    """Prints a line for each check; returns whether all of them passed."""
    good = True
    async with connect(URL + chosen, key) as client:
        for one in wanted:
            what = f"{name}: {one.__name__.replace('_', ' ')} ({client.revision})"
            try:
                await one(client, f"checked with {name}, {client.revision}")
                print(f"ok      {what}")
            except Exception:
                print(f"FAILED  {what}: {traceback.format_exc()}")
                good = False
    return good


def check_all(name: str, connect: Callable[[str, str], Any]) -> None:
    """Runs every check and ends the process: with code 1 if one failed."""

    async def run() -> bool:
        good = await check(
            name,
            CONNECTED,
            connect,
            lists_the_tools,
            reads,
            writes_and_what_it_wrote_is_there,
            a_wrong_argument_is_named_with_what_is_allowed,
        )
        async with connect(URL, CONNECTED) as client:
            shows_schemas = client.revision >= "2025-06-18"
        if shows_schemas:
            shown = takes_answers_that_it_was_shown_the_schema_of_tables_included
            good = await check(name, CONNECTED, connect, shown, chosen="?output_schemas=true") and good
        return await check(name, UNCONNECTED, connect, an_account_that_is_not_connected_gets_a_link) and good

    sys.exit(0 if asyncio.run(run()) else 1)
