"""cached_tmdb on classes: inheritance, pickling, copying."""

import copy
import dataclasses
import pickle

import pytest

from tmdb_mongo_cache import cached_tmdb


def test_a_subclass_of_a_decorated_class(decorate, ask):
    """What a subclass inherits is cached, super() too; what it adds itself is its own."""

    @decorate
    class Base:
        def inherited(self):
            return ask()

        def overridden(self):
            return ask()

    class Derived(Base):
        def overridden(self):
            return ask(), super().overridden()

        def own(self):
            return ask()

    derived = Derived()
    assert derived.inherited() is False
    assert derived.overridden() == (None, True)
    assert derived.own() is None


def test_inherited_methods(decorate, ask):
    """What a decorated class inherits is cached, and its base class stays as it was."""

    class Base:
        def inherited(self):
            return ask()

        @classmethod
        def of_class(cls):
            return cls, ask()

        @staticmethod
        def static():
            return ask()

        @property
        def prop(self):
            return ask()

    before = dict(vars(Base))

    @decorate
    class Derived(Base):
        pass

    derived = Derived()
    assert [derived.inherited(), derived.of_class(), derived.static()] == [False, (Derived, True), True]
    assert derived.prop is True
    assert dict(vars(Base)) == before
    assert [Base().inherited(), Base.of_class(), Base.static()] == [None, (Base, None), None]
    assert isinstance(derived, Base)


def test_super_of_a_derived_class(decorate, ask):
    """super() in a decorated class and in one between reaches the same methods as before."""

    class A:
        def name(self):
            return ["A"]

    class B(A):
        def name(self):
            return ["B", *super().name()]

    @decorate
    class C(B):
        def name(self):
            return ["C", *super().name(), ask()]

    class D(C):
        def name(self):
            return ["D", *super().name()]

    assert D().name() == ["D", "C", "B", "A", False]


def test_diamond(decorate):
    """Decoration of a class in a diamond keeps the order in which methods are resolved."""

    class Base:
        def name(self):
            return "base"

    @decorate
    class Left(Base):
        pass

    class Right(Base):
        def name(self):
            return "right"

    class Both(Left, Right):
        pass

    class PlainLeft(Base):
        pass

    class PlainBoth(PlainLeft, Right):
        pass

    assert PlainBoth().name() == "right"
    assert Both().name() == "right"


def test_a_dataclass(decorate, ask):
    """A dataclass, the decorator above or below, keeps its fields, equality and repr."""

    @decorate
    @dataclasses.dataclass(frozen=True)
    class Above:
        number: int = 1

        def load(self):
            return ask(self.number)

    @dataclasses.dataclass(order=True)
    @decorate
    class Below:
        number: int = 1

        def __post_init__(self):
            self.loaded = ask(self.number)

    assert [Above().load(), Below().loaded] == [False, True]
    assert Above(2) == Above(2)
    assert Below(1) < Below(2)
    assert repr(Above(2)).endswith("Above(number=2)")
    assert dataclasses.replace(Above(), number=4).number == 4


@cached_tmdb
class Global:
    def __init__(self, number=1):
        self.number = number

    def method(self):
        return self.number

    @classmethod
    def of_class(cls):
        return cls

    @staticmethod
    def static():
        return "static"


@cached_tmdb(expire_after=60)
class Inheriting(Global):
    pass


@pytest.mark.parametrize("kind", [Global, Inheriting])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(kind, protocol):
    """Decorated classes, their instances and bound methods pickle, by every protocol."""

    def travel(thing):
        return pickle.loads(pickle.dumps(thing, protocol))

    assert travel(kind) is kind
    assert travel(kind(4)).number == 4
    assert type(travel(kind(4))) is kind
    with_number = kind(5)
    assert travel(with_number.number) == 5


@pytest.mark.parametrize("kind", [Global, Inheriting])
def test_pickling_of_methods(kind):
    """Bound methods and staticmethods of a decorated class pickle as they did."""
    assert pickle.loads(pickle.dumps(kind(5).method)).__self__.number == 5
    assert pickle.loads(pickle.dumps(kind.static))() == "static"


@pytest.mark.parametrize("function", [copy.copy, copy.deepcopy])
def test_copying(function):
    """Instances of a decorated class copy, and the class and its methods copy to themselves."""
    made = function(Global(7))
    assert (type(made), made.number) == (Global, 7)
    assert function(Global) is Global
    assert function({"m": Global(8).method})["m"].__self__.number == 8
