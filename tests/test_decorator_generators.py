"""cached_tmdb on generators: the scope holds while they run, and only then."""

import contextlib
import gc
import inspect
import threading

import pytest

from tmdb_mongo_cache import cached_tmdb, disabled, enabled

pytestmark = [pytest.mark.usefixtures("collected"), pytest.mark.any_database]


class TestGenerators:
    """Generators."""

    def test_the_consumers_calls_are_its_own(self, decorate, ask):
        """A generator's calls are cached; the consumer's between its yields are not, and after it neither."""

        @decorate
        def program():
            for _ in range(3):
                yield ask()

        seen = [(found, ask()) for found in program()]
        assert seen == [(False, None), (True, None), (True, None)]
        assert ask() is None

    def test_nothing_runs_before_next(self, decorate, ask, tmdb):
        """Calling a generator function runs nothing of it, and what it returns is a generator."""

        @decorate
        def program():
            yield ask()

        made = program()
        assert inspect.isgenerator(made)
        assert tmdb.count == 0
        assert next(made) is False
        made.close()

    def test_send_and_return_value(self, decorate, ask):
        """send() reaches the generator, and `yield from` gets its return value."""

        @decorate
        def program(first):
            got = yield first
            while got != "end":
                got = yield (got, ask())
            return "returned"

        def outer():
            return (yield from program("a"))

        made = outer()
        assert [next(made), made.send(1), made.send(2)] == ["a", (1, False), (2, True)]
        with pytest.raises(StopIteration) as stop:
            made.send("end")
        assert stop.value.value == "returned"

    def test_throw(self, decorate, ask):
        """throw() raises in the generator at its yield, in the scope, which may go on or fail."""

        @decorate
        def program():
            try:
                yield ask()
            except KeyError as error:
                yield error, ask()

        made, error = program(), KeyError("mine")
        next(made)
        assert made.throw(error) == (error, True)
        with pytest.raises(LookupError, match="other"):
            made.throw(LookupError("other"))
        with pytest.raises(StopIteration):
            next(made)

    @pytest.mark.parametrize("how", ["close", "del"])
    def test_close(self, decorate, ask, how):
        """close(), or the last reference going, runs the generator's finally in the scope."""
        seen = []

        @decorate
        def program():
            try:
                yield ask()
            finally:
                seen.append(ask())

        made = program()
        next(made)
        if how == "close":
            made.close()
            made.close()
        del made
        gc.collect()
        assert seen == [True]

    def test_a_generator_that_ignores_close(self, decorate):
        """A generator that yields on close() is a RuntimeError, as without the decorator."""

        @decorate
        def program():
            try:
                yield 1
            except GeneratorExit:
                yield 2

        made = program()
        next(made)
        with pytest.raises(RuntimeError):
            made.close()

    def test_exceptions_pass_unchanged(self, decorate, ask):
        """What a generator raises is the same object, a StopIteration within it a RuntimeError, as ever."""
        error = KeyError("mine")

        @decorate
        def program():
            yield ask()
            raise error

        with pytest.raises(KeyError) as caught:
            list(program())
        assert caught.value is error
        assert error.__context__ is None

        @decorate
        def stopping():
            raise StopIteration
            yield

        with pytest.raises(RuntimeError):
            list(stopping())

    def test_many_at_once(self, decorate, make_cache, ask):
        """Generators that take turns each have their own scope, whatever scope the consumer has."""
        other = make_cache(collection="other")

        def program(number):
            for _ in range(2):
                yield ask(number)

        one, two = decorate(program)(1), cached_tmdb(cache=other)(program)(1)
        assert [next(one), next(two), ask(1)] == [False, False, None]
        with enabled(other):
            assert [next(one), ask(1)] == [True, True]
        with disabled():
            assert next(two) is None
        assert [list(one), list(two)] == [[], []]

    def test_in_another_thread(self, decorate, ask):
        """A generator begun in one thread and continued in another is cached in both."""

        @decorate
        def program():
            yield ask()
            yield ask()

        made, seen = program(), []
        seen.append(next(made))
        thread = threading.Thread(target=lambda: seen.extend([next(made), ask()]))
        thread.start()
        thread.join()
        assert seen == [False, True, None]
        made.close()

    def test_a_context_manager(self, decorate, ask):
        """@contextmanager above @cached_tmdb: enter and exit are cached, the body is not."""
        seen = []

        @contextlib.contextmanager
        @decorate
        def program():
            yield ask()
            seen.append(ask())

        with program() as entered:
            seen += [entered, ask()]
        assert seen == [False, None, True]

    def test_methods(self, decorate, ask):
        """Generator methods, classmethods and staticmethods."""

        class Client:
            @decorate
            def method(self):
                yield ask()

            @decorate
            @classmethod
            def of_class(cls):
                yield ask()

            @staticmethod
            @decorate
            def static():
                yield ask()

        found = [*Client().method(), ask(), *Client.of_class(), ask(), *Client.static(), ask()]
        assert found == [False, None, True, None, True, None]
