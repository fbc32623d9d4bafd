"""Handling messages of any client: the decorator, the block and the batch. The loop is in each.py.

What a handler is given and how its span ends is the same for every client; its adapter reads the message.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from itertools import chain
from typing import Any, Final, TypeVar
from weakref import WeakSet

from mqtrace import tracer as tracers
from mqtrace.core import NOOP, NoopSpan, Relation, Span, attach, detach, keep_recent, release_baggage, restore, text
from mqtrace.errors import ConfigurationError
from mqtrace.tracer import LONG_NAME, SpanTracer

from .adapters import MessageAdapter, adapter_in, adapters, parts
from .batch import start_batch
from .handled import HandledSpan
from .operation import Operation
from .run import close

__all__ = ["batch", "begin", "consumer", "operation_in", "operation_of", "process"]

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M")

_ABSENT: Any = object()
_set = attach
_reset = detach

_NONE: Final = type(None)
_RELATIONS: Final = (None, "parent", "link")
#: Handlers that are decorated. A mark on the function itself would be copied by a decorator's functools.wraps.
_handlers: WeakSet[Any] = WeakSet()

# A program that names every message differently must not make the process grow.
_MOST_OPERATIONS: Final = 256


def operation_of(tracer: SpanTracer | None, relation: str | None, name: str | None) -> Operation:
    """The process operation of a tracer (None: the default one), kept so that its templates are made once."""
    bound = tracers.default() if tracer is None else tracer
    operations: dict[tuple[str | None, str | None], Operation] = bound.operations
    try:
        operation = operations.get((relation, name))
    except TypeError:  # a name without a hash, which is not text
        operation = None
    if operation is None:
        usable = _usable(bound, relation, name)
        operation = operations.get(usable)
        if operation is None:
            operation = Operation("process", bound, relation=usable[0], name=usable[1])
            if len(usable[1] or "") <= LONG_NAME:
                keep_recent(operations, usable, operation, _MOST_OPERATIONS)
    return operation


def _usable(tracer: SpanTracer, relation: Any, name: object) -> tuple[Relation | None, str | None]:
    """The relation and the name if they are valid. The message is at hand, so an invalid one is ignored and counted."""
    checked_name = text(name)
    tracer.counters.calls_ignored += (name is not None and checked_name is None) + (relation not in _RELATIONS)
    return relation if relation in _RELATIONS else None, checked_name


def begin(operation: Operation, message: Any) -> Span | NoopSpan | None:
    """Start the process span of a message; None if it is not a message. Never raises."""
    adapter = adapters.get(type(message)) or adapter_in(message)
    if adapter is None:
        if not _is_nothing(message):
            operation.tracer.unknown(message)
        return None
    try:
        return adapter.begin(operation, message)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        operation.tracer.complain("a message could not be traced")
        return None


def process(message: Any, tracer: SpanTracer | None, relation: str | None, name: str | None) -> Span | NoopSpan:
    """The span of a message, for ``with``; a no-op one if it is not a message."""
    span = begin(operation_of(tracer, relation, name), message)
    return _handled(message, tracer) if span is None else span


def _handled(message: Any, tracer: SpanTracer | None) -> NoopSpan:
    """The block of a message that has no new span: within the span that it has, or a no-op one."""
    handled = getattr(adapters.get(type(message)) or adapter_in(message), "handled", None)
    try:
        span = None if handled is None else handled(message)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        (tracers.default() if tracer is None else tracer).complain("a message could not be traced")
        return NOOP
    return NOOP if span is None else HandledSpan(span)


def batch(messages: Iterable[Any], tracer: SpanTracer | None, name: str | None) -> Span | NoopSpan:
    """One span with a link to every message; a no-op one if there are no messages."""
    operation = operation_of(tracer, None, name)
    as_sequence = messages if isinstance(messages, (list, tuple)) else _sequence_of(messages)
    try:
        adapter, of_one_kind = _of_one_kind(operation, as_sequence)
        if adapter is not None:
            collected = adapter.collect(operation, of_one_kind)
            return NOOP if collected is None else start_batch(operation, collected)
    except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
        operation.tracer.complain("a batch could not be traced")
    return NOOP


def one_by_one(messages: Iterable[M]) -> Iterable[M]:
    """Messages one after another: those of lists by partition, as a `getmany` returns them, partition by partition."""
    if isinstance(messages, dict) and all(isinstance(of_partition, list) for of_partition in messages.values()):
        return chain.from_iterable(messages.values())
    return messages


def _sequence_of(messages: Any) -> Sequence[Any]:
    """What was given as messages, one after another; an object that is not several of anything, by itself."""
    if adapter_in(messages) is not None:
        return (messages,)  # one of aio-pika's can be iterated, which are its bytes
    try:
        several = iter(one_by_one(messages))
    except TypeError:
        return (messages,)
    return list(several)


def _of_one_kind(operation: Operation, messages: Sequence[Any]) -> tuple[MessageAdapter | None, Sequence[Any]]:
    """The adapter of the first message, and the messages that it reads. An object that is not a message is counted."""
    kinds = set(map(type, messages))
    kinds.discard(_NONE)
    if len(kinds) == 1 and (adapter := adapters.get(*kinds)) is not None:  # nearly always
        return adapter, messages
    first: MessageAdapter | None = None
    of_one_kind: list[Any] = []
    for message in messages:
        adapter = adapters.get(type(message)) or adapter_in(message)
        if adapter is not None and (first is None or adapter is first):
            first = adapter
            of_one_kind.append(message)
        elif not _is_nothing(message):
            operation.tracer.unknown(message)
    return first, of_one_kind


def _is_nothing(message: object) -> bool:
    """Whether it is what a client returns if there is no message: None, or pika's tuple of Nones."""
    return message is None or (isinstance(message, tuple) and all(part is None for part in message))


def consumer(function: F, tracer: SpanTracer | None, relation: str | None, name: str | None) -> F:
    """A handler each call of which runs in the process span of the message among its arguments."""
    if isinstance(function, (staticmethod, classmethod)):
        inner: Any = consumer(function.__func__, tracer, relation, name)
        again: Any = type(function)(inner)
        return again  # type: ignore[no-any-return]  # the same kind of method
    if isinstance(function, type):
        raise TypeError(
            f"@mqtrace.consumer is for a handler, and {function.__qualname__} is a class: decorate the method that is "
            "given the message"
        )
    if not callable(function):
        raise TypeError(f"@mqtrace.consumer is for a handler, and {function!r} cannot be called")
    relation, name = _checked(relation), _checked_name(name)
    decorated: Any = function if inspect.isfunction(function) and function in _handlers else None
    if decorated is not None:
        if tracer is None and relation is None and name is None:
            return decorated  # type: ignore[no-any-return]  # decorating twice is decorating once
        anew: Any = consumer(decorated.__wrapped__, tracer, relation, name)  # the last decoration holds
        return anew  # type: ignore[no-any-return]  # called as F is
    operation = (
        Operation("process", None, relation=relation, name=name)
        if tracer is None
        else operation_of(tracer, relation, name)
    )
    wrapped: Any
    # calling an object runs its class's __call__
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004  # ditto
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called):
        wrapped = _coroutine(function, operation)
    elif inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(called):
        wrapped = _async_generator(function, operation)
    elif inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(called):
        wrapped = _generator(function, operation)
    else:
        wrapped = _function(function, operation)
    functools.update_wrapper(wrapped, function)
    _handlers.add(wrapped)
    wrapped._mqtrace_operation = operation  # for clients that make the span before they call the handler
    return wrapped  # type: ignore[no-any-return]  # called as F is


def operation_in(callback: Any) -> Operation | None:
    """The operation of ``@mqtrace.consumer`` on this callback, which has the span's tracer and name; None without."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    found = getattr(callback, "_mqtrace_operation", None)
    if found is None:
        found = getattr(type(callback).__call__, "_mqtrace_operation", None)
    return found if isinstance(found, Operation) else None


def _checked_name(name: object) -> str | None:
    plain = text(name)
    if name is not None and plain is None:
        raise ConfigurationError(f"name={name!r} is not a name: write the whole span name as text, 'charge the card'")
    return plain


def _checked(relation: str | None) -> Relation | None:
    if relation not in _RELATIONS:
        raise ConfigurationError(f"relation={relation!r} is unknown: write 'parent' or 'link'")
    return relation  # type: ignore[return-value]  # one of the three, by the check above


def _find(operation: Operation, arguments: tuple[Any, ...], named: dict[str, Any]) -> Span | NoopSpan | None:
    """Start the span of the first message among a handler's arguments."""
    everything = (*arguments, *named.values())
    for argument in everything:
        if adapter_in(argument) is not None:
            return begin(operation, everything if type(argument) in parts else argument)
    if not any(map(_is_nothing, everything)):  # what an empty poll gives to a handler
        operation.tracer.unknown(*everything[:1])
    return None


def _function(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    known = adapters.get

    def handler(first: Any = _ABSENT, /, *rest: Any, **named: Any) -> Any:
        adapter = known(type(first))
        if adapter is not None:
            try:
                span = adapter.begin(operation, first)
            except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
                operation.tracer.complain("a message could not be traced")
                span = None
        else:
            span = _find(operation, rest if first is _ABSENT else (first, *rest), named)
        if span is None:
            return function(*rest, **named) if first is _ABSENT else function(first, *rest, **named)
        token = _set(span)
        try:
            if rest or named or first is _ABSENT:
                result = function(*rest, **named) if first is _ABSENT else function(first, *rest, **named)
            else:
                result = function(first)
            if not span.ended:
                span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            _reset(token)
            span.token = None
            close(span, error)
            raise
        _reset(token)
        if span.baggage is not None:
            release_baggage(span)
        return result

    return handler


def _coroutine(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    known = adapters.get

    async def handler(*arguments: Any, **named: Any) -> Any:
        if arguments and (adapter := known(type(arguments[0]))) is not None:
            try:
                span = adapter.begin(operation, arguments[0])
            except Exception:  # noqa: BLE001  # tracing must not cost the message, whatever went wrong
                operation.tracer.complain("a message could not be traced")
                span = None
        else:
            span = _find(operation, arguments, named)
        if span is None or span is NOOP:
            return await function(*arguments, **named)
        span.token = _set(span)  # what `with span` does, in a third of its time
        try:
            result = await function(*arguments, **named)
            if not span.ended:
                span.end()  # within: a signal's handler may raise before this has begun
        except BaseException as error:
            close(span, error)
            raise
        restore(span)  # in whatever context the coroutine has come to its end
        return result

    return handler


def _generator(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    def handler(*arguments: Any, **named: Any) -> Generator[Any, Any, Any]:
        span = _find(operation, arguments, named)
        if span is None:
            return (yield from function(*arguments, **named))
        generator = function(*arguments, **named)
        step: Callable[[], Any] = functools.partial(next, generator)
        error: BaseException | None = None
        try:
            while True:
                span.token = attach(span)
                try:
                    yielded = step()
                except StopIteration as stop:
                    return stop.value
                finally:
                    restore(span)
                try:
                    sent = yield yielded
                    step = functools.partial(generator.send, sent)
                except GeneratorExit:
                    step = generator.close
                    span.token = attach(span)
                    try:
                        generator.close()
                    finally:
                        restore(span)
                    raise
                except BaseException as thrown:  # noqa: BLE001  # it belongs to the handler, which is given it
                    step = functools.partial(generator.throw, thrown)
        except BaseException as raised:
            error = raised
            raise
        finally:
            close(span, error)

    return handler


def _async_generator(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    async def handler(*arguments: Any, **named: Any) -> AsyncGenerator[Any, Any]:
        span = _find(operation, arguments, named)
        generator = function(*arguments, **named)
        step: Callable[[], Any] = generator.__anext__
        error: BaseException | None = None
        try:
            while True:
                if span is not None:
                    span.token = attach(span)
                try:
                    yielded = await step()
                except StopAsyncIteration:
                    return
                finally:
                    if span is not None:
                        restore(span)
                try:
                    sent = yield yielded
                    step = functools.partial(generator.asend, sent)
                except GeneratorExit:
                    if span is not None:
                        span.token = attach(span)
                    try:
                        await generator.aclose()
                    finally:
                        if span is not None:
                            restore(span)
                    raise
                except BaseException as thrown:  # noqa: BLE001  # it belongs to the handler, which is given it
                    step = functools.partial(generator.athrow, thrown)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if span is not None:
                close(span, error)

    return handler
