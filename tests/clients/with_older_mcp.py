"""PyPI mcp 1.x. Argument: the revision that must be negotiated."""

import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from checks import Connection, check_all

(REVISION,) = sys.argv[1:]


def on_the_wire(model) -> dict:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


@asynccontextmanager
async def connect(url: str, key: str):
    headers = {"Authorization": f"Bearer {key}"}
    async with streamablehttp_client(url, headers=headers, timeout=timedelta(seconds=60)) as (read, write, _):
        async with ClientSession(read, write) as session:
            agreed = (await session.initialize()).protocolVersion
            assert agreed == REVISION, agreed

            async def tools():
                return on_the_wire(await session.list_tools())["tools"]

            async def call(name, arguments):
                return on_the_wire(await session.call_tool(name, arguments))

            yield Connection(REVISION, tools, call)


check_all(f"PyPI mcp {version('mcp')}", connect)
