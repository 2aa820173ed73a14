"""cached_tmdb on async generators: the scope holds while they run, and only then."""

import asyncio
import contextlib
import gc
import inspect

import pytest

pytestmark = pytest.mark.usefixtures("collected")


class TestAsyncGenerators:
    """Async generators."""

    def test_the_consumers_calls_are_its_own(self, decorate, ask):
        """An async generator's calls are cached; the consumer's between its yields are not."""

        @decorate
        async def program():
            for _ in range(3):
                await asyncio.sleep(0)
                yield ask()

        async def main():
            return [(found, ask()) async for found in program()]

        assert asyncio.run(main()) == [(False, None), (True, None), (True, None)]

    def test_asend_athrow_aclose(self, decorate, ask):
        """asend(), athrow() and aclose() reach the async generator, in the scope."""
        seen = []

        @decorate
        async def program():
            try:
                got = yield "first"
                try:
                    yield got, ask()
                except KeyError as error:
                    yield error, ask()
            finally:
                seen.append(ask())

        async def main():
            made, error = program(), KeyError("mine")
            assert inspect.isasyncgen(made)
            assert await anext(made) == "first"
            assert await made.asend(1) == (1, False)
            assert await made.athrow(error) == (error, True)
            await made.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(made)
            return ask()

        assert asyncio.run(main()) is None
        assert seen == [True]

    def test_left_early(self, decorate, ask):
        """A consumer that breaks off leaves nothing behind, and the generator's finally runs in the scope."""
        seen = []

        @decorate
        async def program():
            try:
                while True:
                    yield ask()
            finally:
                seen.append(ask())

        async def main():
            async for found in program():
                assert found is False
                break
            gc.collect()
            await asyncio.sleep(0)
            return ask()

        assert asyncio.run(main()) is None
        assert seen == [True]

    def test_exceptions_pass_unchanged(self, decorate):
        """What an async generator raises is the same object."""
        error = KeyError("mine")

        @decorate
        async def program():
            yield 1
            raise error

        async def main():
            return [one async for one in program()]

        with pytest.raises(KeyError) as caught:
            asyncio.run(main())
        assert caught.value is error
        assert error.__context__ is None

    def test_an_async_context_manager(self, decorate, ask):
        """@asynccontextmanager above @cached_tmdb: enter and exit are cached, the body is not."""

        @contextlib.asynccontextmanager
        @decorate
        async def program():
            yield ask()

        async def main():
            async with program() as entered:
                return entered, ask()

        assert asyncio.run(main()) == (False, None)
