"""What every carrier must do, as a base class of tests. No test framework is imported: pytest collects the subclass.

    class TestMyCarrier(CarrierContract):
        def make(self, headers):
            return MyCarrier(my_native_headers(headers))

The rules are those of :class:`mqtrace.carriers.Carrier`; hooks switch on the tests that not every native form allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mqtrace.carriers import Carrier, find

__all__ = ["CarrierContract"]

_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class CarrierContract:
    """Subclass it in a test module, define :meth:`make`, and override the hooks that apply."""

    def make(self, headers: dict[str, str]) -> Carrier:
        """A carrier over new native headers that hold exactly these."""
        raise NotImplementedError("a carrier contract needs make(headers)")

    # -- hooks

    #: Whether ``TraceParent`` and ``traceparent`` are one name, which :meth:`Carrier.names` gives in lowercase.
    case_insensitive = False

    def make_raw(self, pairs: Sequence[tuple[Any, Any]]) -> Carrier | None:
        """A carrier over native headers with these names and values as they are, repeated names too.

        None (the default) if the native form is typed so strictly that it can hold only text.
        """
        return None

    def repeated(self, values: list[str]) -> str | None:
        """The value that :meth:`Carrier.get` returns for a repeated name; only used with :meth:`make_raw`."""
        return values[-1]

    def reopen(self, carrier: Carrier) -> Carrier:
        """A second carrier over what the first would pass on: its ``native`` if it has one."""
        native = getattr(carrier, "native", carrier)
        return carrier if native is carrier else type(carrier)(native)  # type: ignore[call-arg]  # a protocol has no __init__

    # -- the contract

    def test_it_is_a_carrier(self) -> None:
        assert isinstance(self.make({}), Carrier)

    def test_reads_what_is_there(self) -> None:
        carrier = self.make({"traceparent": _TRACEPARENT, "other": "x"})
        assert carrier.get("traceparent") == _TRACEPARENT
        assert carrier.get("other") == "x"

    def test_what_is_missing_is_none(self) -> None:
        assert self.make({}).get("traceparent") is None
        assert self.make({"other": "x"}).get("traceparent") is None

    def test_names_every_header_once(self) -> None:
        assert self.make({}).names() == []
        assert sorted(self.make({"traceparent": "a", "b": "c"}).names()) == ["b", "traceparent"]

    def test_set_adds(self) -> None:
        carrier = self.make({"other": "x"})
        carrier.set("traceparent", _TRACEPARENT)
        for view in (carrier, self.reopen(carrier)):
            assert view.get("traceparent") == _TRACEPARENT
            assert view.get("other") == "x"
            assert sorted(view.names()) == ["other", "traceparent"]

    def test_set_works_on_no_headers(self) -> None:
        carrier = self.make({})
        carrier.set("traceparent", _TRACEPARENT)
        assert self.reopen(carrier).get("traceparent") == _TRACEPARENT
        assert self.reopen(carrier).names() == ["traceparent"]

    def test_set_replaces(self) -> None:
        carrier = self.make({"traceparent": "old", "other": "x"})
        carrier.set("traceparent", "new")
        for view in (carrier, self.reopen(carrier)):
            assert view.get("traceparent") == "new"
            assert sorted(view.names()) == ["other", "traceparent"]

    def test_setting_twice_leaves_one(self) -> None:
        carrier = self.make({})
        carrier.set("tracestate", "a=1")
        carrier.set("tracestate", "a=2")
        carrier.remove("tracestate")
        assert carrier.get("tracestate") is None

    def test_remove(self) -> None:
        carrier = self.make({"traceparent": _TRACEPARENT, "other": "x"})
        carrier.remove("traceparent")
        for view in (carrier, self.reopen(carrier)):
            assert view.get("traceparent") is None
            assert view.get("other") == "x"
            assert view.names() == ["other"]

    def test_removing_what_is_missing_does_nothing(self) -> None:
        carrier = self.make({"other": "x"})
        carrier.remove("traceparent")
        assert carrier.names() == ["other"]

    def test_text_that_is_not_ascii_comes_back(self) -> None:
        carrier = self.make({})
        carrier.set("note", "grün ✓")
        assert self.reopen(carrier).get("note") == "grün ✓"

    def test_a_lone_surrogate_does_not_raise(self) -> None:
        carrier = self.make({})
        carrier.set("note", "a\ud800b")
        assert "note" in carrier.names()

    def test_case(self) -> None:
        carrier = self.make({"TraceParent": "a"})
        if self.case_insensitive:
            assert carrier.get("traceparent") == "a"
            assert carrier.names() == ["traceparent"]
            carrier.set("traceparent", "b")
            assert self.reopen(carrier).get("TRACEPARENT") == "b"
            carrier.remove("TracePARENT")
            assert self.reopen(carrier).names() == []
        else:
            assert carrier.get("traceparent") is None
            carrier.remove("traceparent")
            assert carrier.names() == ["TraceParent"]

    def test_a_thousand_headers(self) -> None:
        carrier = self.make({f"h{n}": str(n) for n in range(1000)})
        carrier.set("traceparent", _TRACEPARENT)
        assert carrier.get("h999") == "999"
        assert carrier.get("traceparent") == _TRACEPARENT
        assert len(carrier.names()) == 1001

    def test_bytes_are_text(self) -> None:
        carrier = self.make_raw([("traceparent", _TRACEPARENT.encode())])
        assert carrier is None or carrier.get("traceparent") == _TRACEPARENT

    def test_what_is_no_text_is_absent_but_named(self) -> None:
        for value in (None, b"\xff\xfe", 5, 1.5, True, [], {}, ("a",), object()):
            carrier = self.make_raw([("traceparent", value), ("other", "x")])
            if carrier is None:
                return
            assert carrier.get("traceparent") is None, value
            assert sorted(carrier.names()) == ["other", "traceparent"], value
            assert carrier.get("other") == "x"
            carrier.set("traceparent", _TRACEPARENT)
            assert carrier.get("traceparent") == _TRACEPARENT

    def test_a_name_that_is_no_text_is_absent(self) -> None:
        carrier = self.make_raw([(5, "five"), (None, "none"), (b"\xff", "bytes"), ("traceparent", "a")])
        if carrier is None:
            return
        assert carrier.get("traceparent") == "a"
        assert carrier.names() == ["traceparent"]
        carrier.set("traceparent", "b")
        carrier.remove("missing")
        assert carrier.get("traceparent") == "b"

    def test_a_repeated_name(self) -> None:
        carrier = self.make_raw([("tracestate", "a=1"), ("other", "x"), ("tracestate", "b=2")])
        if carrier is None:
            return
        assert carrier.get("tracestate") == self.repeated(["a=1", "b=2"])
        assert sorted(carrier.names()) == ["other", "tracestate"]
        carrier.set("tracestate", "c=3")
        assert self.reopen(carrier).get("tracestate") == "c=3"
        carrier.remove("tracestate")
        assert self.reopen(carrier).names() == ["other"]

    def test_many_names_are_found_as_each_by_itself(self) -> None:
        names = ["traceparent", "tracestate", "missing", *(f"uberctx{n}" for n in range(3))]
        odd: list[tuple[Any, Any]] = [
            ("traceparent", _TRACEPARENT),
            ("Other", "x"),
            ("tracestate", b"\xff"),
            (5, "five"),
            ("uberctx1", "b"),
            ("uberctx0", "a"),
        ]
        texts = {name: value for name, value in odd if isinstance(name, str) and isinstance(value, str)}
        for carrier in (self.make({}), self.make(texts), self.make_raw(odd)):
            if carrier is not None:
                present = {name for name in carrier.names() if name in names}
                read = {name: carrier.get(name) for name in present}
                assert find(carrier, frozenset(names)) == read
                assert find(carrier, frozenset(names[:3]), "uberctx") == read

    def test_what_is_beyond_any_limit_is_absent_but_found(self) -> None:
        assert find(self.make({"traceparent": "a" * (1 << 17)}), frozenset(["traceparent"])) == {"traceparent": None}
