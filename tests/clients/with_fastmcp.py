"""PyPI fastmcp, with the key as its `auth`. Argument: the revision that must be negotiated."""

import sys
from contextlib import asynccontextmanager

from fastmcp import Client

from checks import Connection, check_all

(REVISION,) = sys.argv[1:]


def on_the_wire(model) -> dict:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


@asynccontextmanager
async def connect(url: str, key: str):
    async with Client(url, auth=key) as client:
        assert client.protocol_version == REVISION, client.protocol_version

        async def tools():
            return [on_the_wire(tool) for tool in await client.list_tools()]

        async def call(name, arguments):
            return on_the_wire(await client.call_tool_mcp(name, arguments))

        yield Connection(REVISION, tools, call)


check_all("PyPI fastmcp", connect)
