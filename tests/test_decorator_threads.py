"""cached_tmdb and the threads that a decorated function starts."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tmdb_mongo_cache import disabled, enabled

pytestmark = [pytest.mark.usefixtures("unchanged"), pytest.mark.any_database]


class Subclass(threading.Thread):
    def __init__(self, work):
        super().__init__(name="mine")
        self.work = work

    def run(self):
        self.work()


class Starting(threading.Thread):
    def start(self):
        self.prepared = True
        super().start()


@pytest.mark.parametrize(
    "make",
    [
        lambda work: threading.Thread(target=work),
        lambda work: threading.Thread(target=lambda a, b: work(), args=(1,), kwargs={"b": 2}, daemon=True),
        lambda work: threading.Timer(0, work),
        Subclass,
        lambda work: Starting(target=work),
    ],
    ids=["Thread", "with arguments", "Timer", "run", "start"],
)
def test_threads(decorate, ask, make):
    """The calls of a thread that the function starts are cached: Thread, Timer, and subclasses of Thread."""
    seen = []

    @decorate
    def program():
        for _ in range(2):
            thread = make(lambda: seen.append(ask()))
            thread.start()
            thread.join()

    program()
    assert seen == [False, True]
    outside = make(lambda: seen.append(ask()))
    outside.start()
    outside.join()
    assert seen[2] is None


def test_a_thread_made_outside_and_started_within(decorate, ask):
    """It is the start that counts: a thread made before and started within belongs to the function."""
    seen = []
    thread = threading.Thread(target=lambda: seen.append(ask()))
    decorate(lambda: thread.start())()
    thread.join()
    assert seen == [False]


def test_a_thread_made_within_and_started_outside(decorate, ask):
    """A thread made within and started after it does not belong to the function."""
    seen = []
    thread = decorate(lambda: threading.Thread(target=lambda: seen.append(ask())))()
    thread.start()
    thread.join()
    assert seen == [None]


def test_nested_threads(decorate, ask):
    """The threads of its threads belong to the function too, three levels down."""
    seen = []

    def work(depth):
        seen.append(ask())
        if depth:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(work, depth - 1).result()

    @decorate
    def program():
        thread = threading.Thread(target=work, args=(3,))
        thread.start()
        thread.join()

    program()
    assert seen == [False, True, True, True]


def test_a_thread_that_outlives_the_function(decorate, ask):
    """A thread that is still at work when the function has returned is cached to its end."""
    returned, seen = threading.Event(), []

    def work():
        returned.wait()
        seen.extend([ask(), ask()])

    @decorate
    def program():
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    thread = program()
    assert ask() is None
    returned.set()
    thread.join()
    assert seen == [False, True]
    assert ask() is None


def test_enabled_does_not_reach_threads(cache, ask):
    """enabled() is for its own thread alone: the threads started within it are not cached."""
    with enabled(cache), ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() is None


def test_disabled_within_a_thread(decorate, ask):
    """disabled() within a thread of the function holds there alone."""

    def work():
        with disabled():
            return ask()

    @decorate
    def program():
        with ThreadPoolExecutor(1) as pool:
            return [pool.submit(work).result(), pool.submit(ask).result()]

    assert program() == [None, False]


def test_under_disabled(decorate, ask):
    """Under disabled() the threads of a decorated function are not cached either."""

    @decorate
    def program():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(ask).result()

    with disabled():
        assert program() is None


def test_threads_are_themselves_within(decorate):
    """Within a decorated function Thread and ThreadPoolExecutor are the same classes, and threads look the same."""
    kinds = threading.Thread, threading.Timer, ThreadPoolExecutor

    @decorate
    def program():
        assert (threading.Thread, threading.Timer, ThreadPoolExecutor) == kinds
        thread = Subclass(lambda: None)
        thread.start()
        thread.join()
        assert (type(thread), thread.name, thread.is_alive()) == (Subclass, "mine", False)
        with pytest.raises(RuntimeError, match="once"):
            thread.start()

    program()


@pytest.mark.usefixtures("unchanged")
def test_the_databases_threads_are_not_the_functions(decorate, ask):
    """Threads that the database starts for its first call do not keep the patch on when the function has returned."""
    assert decorate(lambda: [ask(), ask()])() == [False, True]
    assert ask() is None
