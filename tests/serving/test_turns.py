"""Work in its turn, what came of it to whoever asked, and the loop hears others in between."""

import asyncio
import threading
import time

import pytest

from edgewright.serving.turns import Turns


def test_work_is_done_in_its_turn_and_each_hears_of_its_own():
    async def run():
        turns, order, told = Turns(), [], []
        all_told = asyncio.Event()

        def work(number):
            order.append(number)
            return number * 2

        def tell(value, error):
            told.append((value, error))
            if len(told) == 50:
                all_told.set()

        for number in range(50):
            turns.put(tell, work, number)
        assert not order, "nothing is done before the loop is free"
        await asyncio.wait_for(all_told.wait(), 10)
        return order, told

    order, told = asyncio.run(run())
    assert order == list(range(50))
    assert told == [(number * 2, None) for number in range(50)]


def test_what_is_raised_comes_to_whoever_asked_and_the_next_is_served():
    async def run():
        turns, told = Turns(), asyncio.Queue()
        for given in ("no number", "7"):
            turns.put(lambda value, error: told.put_nowait((value, type(error))), int, given)
        turns.put(lambda value, error: told.put_nowait((value, type(error))), exit)
        return [await asyncio.wait_for(told.get(), 10) for _ in range(3)]

    assert asyncio.run(run()) == [(None, ValueError), (7, type(None)), (None, SystemExit)]


def test_the_loop_is_free_between_two_that_take_a_while():
    """Work that is put while some is at hand comes after it, and a callback of another does not wait for all."""

    async def run():
        turns, order, end = Turns(), [], asyncio.Event()
        for number in range(5):
            turns.put(lambda value, _: order.append(value), lambda number=number: (time.sleep(0.005), number)[1])
        turns.put(lambda *_: end.set(), int)
        asyncio.get_running_loop().call_later(0.001, order.append, "another")
        await asyncio.wait_for(end.wait(), 10)
        return order

    found = asyncio.run(run())
    assert [one for one in found if one != "another"] == list(range(5))
    assert found.index("another") < 4


def test_helpers_take_of_what_waits_and_all_is_told_on_the_loop():
    """Two pieces at a time, which wait for each other, so that one thread alone would never end."""

    async def run():
        turns, told, end = Turns(helpers=1), [], asyncio.Event()
        turns._took_s = 1.0
        met = threading.Barrier(2, timeout=20)

        def tell(value, error):
            told.append((value, error, threading.current_thread() is threading.main_thread()))
            if len(told) == 40:
                end.set()

        for number in range(40):
            turns.put(tell, lambda number=number: (met.wait(), time.sleep(0.002), number)[2])
        await asyncio.wait_for(end.wait(), 20)
        return told

    told = asyncio.run(run())
    assert sorted(value for value, _, _ in told) == list(range(40))
    assert all(error is None and here for _, error, here in told)


def test_a_piece_by_itself_wakes_no_helper():
    async def run():
        turns, end = Turns(helpers=3), asyncio.Event()
        seen = []
        for _ in range(5):
            end.clear()
            turns.put(lambda name, _: (seen.append(name), end.set()), lambda: threading.current_thread().name)
            await asyncio.wait_for(end.wait(), 20)
        return seen

    assert asyncio.run(run()) == [threading.main_thread().name] * 5


def test_pieces_that_are_short_are_left_to_one_thread():
    """The loop then talks with the clients, and does what comes when the helper has just gone to rest."""

    async def run():
        turns, end, names = Turns(helpers=2), asyncio.Event(), []

        def tell(name, _):
            names.append(name)
            if len(names) == 2000:
                end.set()

        for _ in range(2000):
            turns.put(tell, lambda: threading.current_thread().name)
        await asyncio.wait_for(end.wait(), 20)
        await asyncio.sleep(0.01)
        end.clear()
        turns.put(lambda name, _: (names.append(name), end.set()), lambda: threading.current_thread().name)
        await asyncio.wait_for(end.wait(), 20)
        return names

    *many, last = asyncio.run(run())
    assert len({*many} - {threading.main_thread().name}) == 1
    assert last == threading.main_thread().name


def test_what_came_when_the_helper_had_just_looked_is_done_when_it_rests():
    async def run():
        turns, told = Turns(helpers=1), []
        turns._idle = 0  # it is at work
        turns.put(lambda value, _: told.append(value), lambda: 7)
        await asyncio.sleep(0.01)
        before = list(told)
        turns._rest()
        await asyncio.sleep(0.01)
        return before, told

    assert asyncio.run(run()) == ([], [7])


def test_a_helper_that_hangs_is_not_alive():
    async def run():
        turns, hangs, told = Turns(helpers=1), threading.Event(), asyncio.Event()
        turns._took_s = 1.0
        await asyncio.wait_for(turns.alive(), 5)
        here = threading.current_thread()

        def piece():
            if threading.current_thread() is not here:
                hangs.wait(20)
            time.sleep(0.002)

        for _ in range(8):
            turns.put(lambda *_: told.set(), piece)
        await asyncio.wait_for(told.wait(), 10)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(turns.alive(), 0.1)
        hangs.set()
        await asyncio.wait_for(turns.alive(), 10)

    asyncio.run(run())
