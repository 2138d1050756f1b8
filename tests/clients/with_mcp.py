"""PyPI mcp. Argument: the revision that must be negotiated."""

import sys
from contextlib import asynccontextmanager

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from checks import Connection, check_all

(REVISION,) = sys.argv[1:]
MODE = {"2025-11-25": "legacy", "2026-07-28": "auto"}[REVISION]


def on_the_wire(model) -> dict:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


@asynccontextmanager
async def connect(url: str, key: str):
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=MODE) as client:
            assert client.protocol_version == REVISION, client.protocol_version

            async def tools():
                return on_the_wire(await client.list_tools())["tools"]

            async def call(name, arguments):
                return on_the_wire(await client.call_tool(name, arguments))

            yield Connection(REVISION, tools, call)


check_all("PyPI mcp", connect)
