"""cached_tmdb on coroutines: the scope holds while they run, and only then."""

import asyncio
import functools
import gc
import inspect
import sys
import warnings

import pytest

from tmdb_mongo_cache import disabled, install

pytestmark = [pytest.mark.usefixtures("collected"), pytest.mark.any_database]


def warned(action):
    """Return what an action warns of, and what it leaves to the garbage collector."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
        gc.collect()
    return [str(warning.message) for warning in caught]


async def takes_one(one):
    pass


@functools.wraps(takes_one)
async def wrapper(*args, **kwargs):
    return await takes_one(*args, **kwargs)


def held(attribute):
    """Return an object whose class has an attribute."""
    return type("Held", (), {"attribute": attribute})()


# A coroutine function in many forms, which lacks an argument or has one too many.
FORMS = {
    "function": lambda decorate: decorate(takes_one),
    "method": lambda decorate: functools.partial(held(decorate(takes_one)).attribute, 1),
    "staticmethod": lambda decorate: held(staticmethod(decorate(takes_one))).attribute,
    "classmethod": lambda decorate: functools.partial(held(classmethod(decorate(takes_one))).attribute, 1),
    "partial": lambda decorate: decorate(functools.partial(takes_one, two=2)),
    "wraps": lambda decorate: decorate(wrapper),
    "twice": lambda decorate: decorate(decorate(takes_one)),
}


class TestCoroutines:
    """Coroutines."""

    def test_a_coroutine(self, decorate, ask):
        """A coroutine's calls are cached, across its awaits; its awaiter's are not."""

        @decorate
        async def program(value):
            found = [ask()]
            await asyncio.sleep(0)
            return [*found, ask(), value]

        async def main():
            return [ask(), await program(5), ask()]

        assert asyncio.run(main()) == [None, [False, True, 5], None]

    def test_neighbours(self, decorate, ask):
        """While a decorated coroutine waits, another task's calls on the same thread are not cached."""

        async def main():
            inside, done = asyncio.Event(), asyncio.Event()

            @decorate
            async def program():
                found = [ask()]
                inside.set()
                await done.wait()
                return [*found, ask()]

            async def neighbour():
                await inside.wait()
                found = [ask(), ask()]
                done.set()
                return found

            return await asyncio.gather(program(), neighbour())

        assert asyncio.run(main()) == [[False, True], [None, None]]

    def test_many_at_once(self, decorate, ask, tmdb):
        """Many tasks of a decorated coroutine run at once, each cached, and leave nothing."""

        @decorate
        async def program(number):
            ask(number)
            await asyncio.sleep(0.001 * (number % 3))
            return ask(number)

        async def main():
            return await asyncio.gather(*(program(number) for number in range(1, 21)))

        assert asyncio.run(main()) == [True] * 20
        assert tmdb.count == 20

    def test_tasks_that_it_starts(self, decorate, ask):
        """Tasks that a decorated coroutine starts and awaits belong to it."""

        @decorate
        async def program():
            async def inner():
                return ask()

            return [await asyncio.create_task(inner()), *await asyncio.gather(inner(), inner())]

        assert asyncio.run(program()) == [False, True, True]

    def test_exceptions_and_cancellation(self, decorate, ask):
        """What a coroutine raises is the same object; a cancelled one runs its finally in the scope."""
        error, seen = KeyError("mine"), []

        @decorate
        async def failing():
            ask()
            raise error

        @decorate
        async def waiting(started):
            try:
                started.set()
                await asyncio.sleep(30)
            finally:
                seen.append(ask())

        async def main():
            with pytest.raises(KeyError) as caught:
                await failing()
            assert caught.value is error
            started = asyncio.Event()
            task = asyncio.create_task(waiting(started))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ask()

        assert asyncio.run(main()) is None
        assert seen == [True]

    def test_send_throw_and_close(self, decorate):
        """A decorated coroutine driven by hand takes send(), throw() and close() as any."""

        class Wait:
            def __await__(self):
                return (yield "waiting")

        @decorate
        async def program():
            try:
                return await Wait()
            except KeyError:
                return "caught"

        one = program()
        assert inspect.iscoroutine(one)
        assert one.send(None) == "waiting"
        with pytest.raises(StopIteration) as stop:
            one.send("sent")
        assert stop.value.value == "sent"
        two = program()
        two.send(None)
        with pytest.raises(StopIteration) as stop:
            two.throw(KeyError())
        assert stop.value.value == "caught"
        three = program()
        three.send(None)
        three.close()

    def test_closed_before_it_began(self, decorate):
        """A coroutine that is closed before it began warns of nothing, as without the decorator."""

        @decorate
        async def program():
            pass

        assert warned(lambda: program().close()) == []

    def test_never_awaited(self, decorate):
        """A coroutine that is never awaited gives one warning, which names the program's function."""

        @decorate
        async def program():
            pass

        assert ["program' was never awaited" in message for message in warned(program)] == [True]

    @pytest.mark.parametrize("form", FORMS)
    def test_wrong_arguments(self, decorate, form):
        """Wrong arguments are a TypeError when they are one without the decorator: at the call, or at the await."""

        def end(decorate):
            try:
                coroutine = FORMS[form](decorate)()
            except TypeError as error:
                return "at the call", str(error)
            with pytest.raises(TypeError) as error:
                asyncio.run(coroutine)
            return "at the await", str(error.value)

        ends = []
        assert warned(lambda: ends.append(end(decorate))) == []
        assert ends == [end(lambda function: function)]

    def test_annotations_that_name_what_is_not_there(self, decorate):
        """What annotations name is not looked for when a function is called, as it is not without the decorator."""
        # Since Python 3.14 they are evaluated by who asks for them.
        text = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"
        for kind in ("def", "async def"):
            text += f"{kind} a{kind[0]}(one: NotThere, *, two: list[NotThere] = ()) -> NotThere:\n    return one\n"
            text += f"{kind} b{kind[0]}(one: NotThere, *, two: list[NotThere] = ()) -> NotThere:\n    yield one\n"
        made = {}
        exec(text, made)

        async def main():
            return [
                decorate(made["ad"])(1),
                list(decorate(made["bd"])(2)),
                await decorate(made["aa"])(3),
                [one async for one in decorate(made["ba"])(4)],
            ]

        assert asyncio.run(main()) == [1, [2], 3, [4]]

    def test_under_disabled_and_install(self, decorate, cache, ask):
        """Under disabled() a coroutine is not cached; under install() its awaiter is."""

        @decorate
        async def program():
            return ask()

        async def main():
            with disabled():
                outside = await program()
            return [outside, await program(), ask()]

        assert asyncio.run(main()) == [None, False, None]
        install(cache)
        try:
            assert asyncio.run(main()) == [None, True, True]
        finally:
            from tmdb_mongo_cache import uninstall

            uninstall()

    def test_methods(self, decorate, ask):
        """Coroutine methods, classmethods, staticmethods and __aenter__ of a decorated class."""

        @decorate
        class Client:
            async def method(self):
                return ask()

            @classmethod
            async def of_class(cls):
                return ask()

            @staticmethod
            async def static():
                return ask()

            async def __aenter__(self):
                return ask()

            async def __aexit__(self, *_):
                pass

        async def main():
            found = [await Client().method(), await Client.of_class(), await Client.static()]
            async with Client() as entered:
                return [*found, entered, ask()]

        assert asyncio.run(main()) == [False, True, True, True, None]

    @pytest.mark.parametrize("way", ["to_thread", "run_in_executor"])
    def test_threads_of_the_loop(self, decorate, ask, way):
        """asyncio.to_thread and loop.run_in_executor within are cached; the pool's threads afterwards are not."""

        def start():
            loop = asyncio.get_running_loop()
            return asyncio.to_thread(ask) if way == "to_thread" else loop.run_in_executor(None, ask)

        @decorate
        async def program():
            return [await start(), await start()]

        async def main():
            return [await program(), await start()]

        assert asyncio.run(main()) == [[False, True], None]
