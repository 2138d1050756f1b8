"""Frameworks that convert tool schemas to their own types, and load no tool at all if they do not support one schema.

- PyPI semantic-kernel: its plugin connects, makes the function of each tool that models get, and calls one.
- PyPI crewai: the function with which crewai-tools makes its argument types. Only its file is loaded, because the whole
  package installs hundreds of megabytes.
"""

import asyncio
import importlib.util
import os
import sys
from importlib.metadata import files, version
from pathlib import Path

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai.function_calling_utils import kernel_function_metadata_to_function_call_format
from semantic_kernel.connectors.mcp import MCPStreamableHttpPlugin

URL, CONNECTED = os.environ["MCP_URL"], os.environ["CONNECTED_KEY"]
HEADERS = {"Authorization": f"Bearer {CONNECTED}"}


def of_crewai(module: str):
    path = next(file for file in files("crewai") if file.as_posix() == f"crewai/{module}.py").locate()
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


async def listed(url: str) -> list:
    async with streamablehttp_client(url, headers=HEADERS) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            return (await session.list_tools()).tools


async def crewai(url: str) -> str:
    create_model_from_schema = of_crewai("utilities/pydantic_schema_utils").create_model_from_schema
    tools = await listed(url)
    broken = []
    for tool in tools:
        try:
            create_model_from_schema(tool.inputSchema).model_json_schema()
        except Exception as error:
            broken.append(f"{tool.name}: {type(error).__name__}: {str(error)[:200]}")
    assert not broken, "\n".join(broken)
    return f"crewai {version('crewai')} makes types of the arguments of {len(tools)} tools"


async def semantic_kernel(url: str) -> str:
    async with MCPStreamableHttpPlugin(name="ownerrez", url=url, headers=HEADERS, load_prompts=False) as plugin:
        tools = await listed(url)
        kernel = Kernel()
        kernel.add_plugin(plugin)
        functions = kernel.get_full_list_of_function_metadata()
        assert len(functions) == len(tools), [function.name for function in functions]
        for function in functions:
            kernel_function_metadata_to_function_call_format(function)
        contents = await plugin.call_tool("list_properties", limit=2)
        assert '"items"' in contents[0].text, contents[0].text
    return f"semantic-kernel {version('semantic-kernel')} loads {len(tools)} tools and calls one"


async def main() -> None:
    failed = False
    for path in ("", "/x/all"):
        for check in (crewai, semantic_kernel):
            try:
                print(f"ok      {await check(URL + path)}")
            except BaseException as error:
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                print(f"FAILED  {check.__name__} at /mcp{path}: {error!r}")
                failed = True
    sys.exit(1 if failed else 0)


asyncio.run(main())
