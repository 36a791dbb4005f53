"""A server in the place of vLLM's: its command line, its addresses, and ways to die on request.

`stub(folder)` makes an interpreter that finds it as `vllm.entrypoints.openai.api_server`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from tests.chat_server import ChatServer

ROOT = Path(__file__).parents[1]


def stub(folder: Path) -> Path:
    """An interpreter in whose packages vLLM is this module."""
    package = folder / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for each in (folder / "vllm", folder / "vllm" / "entrypoints", package):
        (each / "__init__.py").touch()
    (package / "api_server.py").write_text("from tests.engine_stub import main\n\nmain()\n")
    about = folder / "vllm-0.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.0\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder}:{ROOT} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def main() -> None:
    """Serves until killed, or as long as it is told to live."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--asked", type=Path, help="a log of the requests answered")
    parser.add_argument("--pids", type=Path, help="where it writes its own and its child's")
    parser.add_argument("--lives", type=int, default=0, help="how many times it dies")
    parser.add_argument("--after", type=int, default=0, help="of how many requests it dies")
    parser.add_argument("--fails", default="", help="dies of this before it answers anything")
    parser.add_argument("--latency", type=float, default=0.0)
    given, _ = parser.parse_known_args()
    worker = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with given.pids.open("a") as file:
        file.write(f"{os.getpid()}\n{worker.pid}\n")
    sys.stderr.write("WARNING this may cause `OSError: too many files`\n")
    if given.fails == "silence":
        time.sleep(1000)
    if given.fails:
        sys.exit(f"(Core pid=1) ERROR 11-27 20:18:48 [core.py:1063] {given.fails}")
    asyncio.run(serve(given))


async def serve(given: argparse.Namespace) -> None:
    """As vLLM does: all its names are at /v1/models."""
    life = len(given.pids.read_text().split()) // 2
    server = ChatServer(log=str(given.asked), latency=given.latency)
    app = server.app()

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": name} for name in given.served_model_name]})

    @web.middleware
    async def mortal(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if life <= given.lives and server.asked.total() >= given.after:
            sys.stderr.write("MemoryError: too much\n")
            sys.stderr.flush()
            os._exit(1)
        return await handler(request)

    app.router.add_get("/v1/models", models)
    app.middlewares.append(mortal)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", given.port).start()
    await asyncio.Event().wait()
