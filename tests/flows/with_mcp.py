"""PyPI mcp signs in with its own OAuth implementation, like with_client.mjs, to an account that another app uses."""

import asyncio
import os
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

MCP_URL, ACCOUNT, NODE = (os.environ[name] for name in ("MCP_URL", "ACCOUNT", "NODE"))
# The longest valid name, with no place to break it: the pages must still fit a phone.
NAME = "A-client-from-PyPI".ljust(80, "W")
STEPS = (
    "Sign in with OwnerRez=Allow and continue to OwnerRez",
    "Allow access to your account?=Approve",
    f"Other access to this account=Continue to “{NAME}”",
)


def said(what: str) -> None:
    print(f"ok      PyPI mcp: {what}", flush=True)


class Kept:
    """The token storage of a client."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class SentAgain(Exception):
    """The client requests another sign-in in a browser."""


async def main() -> None:
    landed: asyncio.Queue = asyncio.Queue()

    async def answer(reader, writer) -> None:
        target = (await reader.readline()).split()[1].decode()
        if urlsplit(target).path == "/callback":
            landed.put_nowait({name: values[0] for name, values in parse_qs(urlsplit(target).query).items()})
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nYou may close this page.")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    callback = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"
    sent_to: list[str] = []

    async def person(url: str) -> None:
        sent_to.append(url)
        if len(sent_to) > 1:
            raise SentAgain
        browser = await asyncio.create_subprocess_exec(NODE, "browser.mjs", url, callback, *STEPS)
        assert await browser.wait() == 0, "the browser did not come through"

    async def came_back() -> AuthorizationCodeResult:
        query = await landed.get()
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))

    kept = Kept()
    metadata = OAuthClientMetadata(
        client_name=NAME,
        redirect_uris=[callback],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(MCP_URL, metadata, kept, redirect_handler=person, callback_handler=came_back)

    async def me(client) -> int:
        result = await client.call_tool("get_current_user", {})
        assert not result.is_error, result
        return result.structured_content["id"]

    async with httpx2.AsyncClient(auth=auth, timeout=120) as http:
        async with Client(streamable_http_client(MCP_URL, http_client=http), mode="auto") as client:
            assert await me(client) == int(ACCOUNT)
            assert len(sent_to) == 1 and f"resource={MCP_URL}".replace(":", "%3A").replace("/", "%2F") in sent_to[0]
            said("finds the authorization server, registers, is signed in and calls a tool")

            first = kept.tokens
            while kept.tokens.access_token == first.access_token:
                await asyncio.sleep(2)
                assert await me(client) == int(ACCOUNT)
            assert kept.tokens.refresh_token != first.refresh_token
            said("refreshes its token and goes on")

    # The library has no call for RFC 7009.
    token = {"client_id": kept.client.client_id, "token": kept.tokens.refresh_token}
    async with httpx2.AsyncClient() as http:
        revoked = await http.post(str(auth.context.oauth_metadata.revocation_endpoint), data=token)
        assert revoked.status_code == 200, revoked.text
    try:
        async with httpx2.AsyncClient(auth=auth, timeout=120) as http:
            async with Client(streamable_http_client(MCP_URL, http_client=http), mode="auto") as client:
                await me(client)
    except BaseException as error:
        assert len(sent_to) == 2, f"it does not ask for a new sign-in: {error!r}"
        said("is kept out once its token is revoked")
    else:
        raise AssertionError("a revoked token opens the gateway")
    server.close()


asyncio.run(main())
