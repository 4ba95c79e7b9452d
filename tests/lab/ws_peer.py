#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The two ends of a WebSocket that nobody keeps alive. ws_peer.py serve PORT | talk URL IDLE_SECONDS"""
import asyncio
import sys

import websockets

OPEN = {"ping_interval": None, "max_size": None}


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def serve(port):
    async with websockets.serve(echo, None, int(port), **OPEN):
        print("ready", flush=True)
        await asyncio.Future()


async def talk(url, idle):
    async with websockets.connect(url, **OPEN) as socket:
        for message in ("before", "after"):
            await socket.send(message)
            print(await asyncio.wait_for(socket.recv(), 5), socket.local_address[1], flush=True)
            if message == "before":
                await asyncio.sleep(float(idle))


asyncio.run({"serve": serve, "talk": talk}[sys.argv[1]](*sys.argv[2:]))
