"""What the client cancels inside itself is trouble with the broker, and no end of our task."""

from __future__ import annotations

import asyncio

import pytest

from headrace.runtime.bus_kafka.cancellation import client_cancels


async def test_a_request_that_the_client_gave_up_is_a_connection_error() -> None:
    request = asyncio.get_running_loop().create_future()
    request.cancel()
    with pytest.raises(ConnectionError), client_cancels():
        await request


async def test_our_own_cancellation_goes_through() -> None:
    entered = asyncio.Event()

    async def waits() -> None:
        with client_cancels():
            entered.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(waits())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_around_it_stays_a_timeout() -> None:
    async def waits() -> None:
        async with asyncio.timeout(0.01):
            with client_cancels():
                await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await waits()
