"""The thread that runs the engine: one thing after the other, every answer to whoever asked, no wake lost."""

import asyncio
import threading

import pytest

from edgewright.serving.engine_thread import EngineThread


def test_work_is_done_in_its_turn_by_one_thread():
    async def run():
        engine, order = EngineThread(), []

        def work(number):
            order.append((number, threading.current_thread().name))
            return number * 2

        found = await asyncio.gather(*(engine.ask(work, number) for number in range(50)))
        engine.close()
        return found, order

    found, order = asyncio.run(run())
    assert found == [number * 2 for number in range(50)]
    assert order == [(number, "engine") for number in range(50)]


def test_what_is_raised_comes_to_whoever_asked_and_the_next_is_served():
    async def run():
        engine = EngineThread()
        with pytest.raises(ValueError, match="no number"):
            await engine.ask(int, "no number")
        with pytest.raises(SystemExit):
            await engine.ask(exit)
        assert await engine.ask(int) == 0
        engine.close()

    asyncio.run(run())


def test_no_answer_waits_for_the_next_one():
    """Many who ask at once, and each asks again when it is answered: a wake that was lost would hang them."""

    async def client(engine, times):
        for number in range(times):
            assert await engine.ask(int, number) == number

    async def run():
        engine = EngineThread()
        await asyncio.wait_for(asyncio.gather(*(client(engine, 300) for _ in range(20))), 60)
        engine.close()

    asyncio.run(run())


def test_who_has_gone_is_not_answered_and_after_the_end_nothing_begins():
    begun, go, done = threading.Event(), threading.Event(), []

    async def run():
        engine = EngineThread()
        first = engine.ask(lambda: (begun.set(), go.wait(10)))
        gone = engine.ask(done.append, "gone")
        await asyncio.to_thread(begun.wait, 10)
        gone.cancel()
        last = engine.ask(done.append, "last")
        go.set()
        await last
        assert first.done()
        engine.close()
        engine.ask(done.append, "after").cancel()
        await asyncio.sleep(0.05)

    asyncio.run(run())
    assert done == ["last"]
