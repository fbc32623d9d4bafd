"""Templates: what all spans of one operation have in common, computed once and encoded once.

``send orders`` by one producer is one template. A message adds its ids, its times, its partition and its offset. The
name, the kind and the other attributes are bytes that are copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Protocol

from . import identity, proto
from .attributes import Attribute
from .pipeline import Pipeline

__all__ = ["KINDS", "Decider", "Kind", "Relation", "Template"]

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Relation = Literal["parent", "link"]

#: SpanKind of opentelemetry/proto/trace/v1/trace.proto.
KINDS: Final[Mapping[Kind, int]] = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


# A template with more encoded bytes is not kept, so its spans are weighed with them. Names of topics, exchanges, queues
# and tasks are shorter.
_LONGEST: Final = 4096


class Decider(Protocol):
    """How the roots of one destination are sampled, and the children of remote parents.

    Made by the tracer from a sampler of mqtrace.sampling; ``root`` and ``remote`` are called off the fast path only.
    """

    #: A root is sampled if the last 14 hex characters of its trace id are not below this; None: ``root`` decides.
    threshold: bytes | None
    #: The tracestate of a sampled root, ``ot=th:c`` for example.
    state: str | None
    #: Whether the child of a remote parent follows the parent's flag; if not, ``remote`` decides.
    follows: bool

    def root(self, template: Template, identity: bytes, attributes: Mapping[str, Attribute]) -> bool:
        """Whether a new trace with this identity is recorded."""
        ...

    def remote(
        self,
        template: Template,
        identity: bytes,
        state: str | None,
        attributes: Mapping[str, Attribute],
        *,
        undecided: bool = False,
    ) -> tuple[bool, str | None] | None:
        """Whether the child of this remote parent is recorded, and its tracestate; None: follow the parent's flag.

        ``undecided``: the parent has no flag, so the sampler of roots decides.
        """
        ...


class Template:
    """One operation of one tracer.

    ``roots``: identities of new roots, decided already by a threshold; None: ``sampling`` decides each.
    ``follows_parent_only``: the parent's flag decides a child, and no sampler counts it.
    ``propagate_only``: make no span, pass the context on.
    """

    __slots__ = (
        "attributes",
        "client",
        "destination",
        "encoded",
        "follows_parent_only",
        "kind",
        "name",
        "now",
        "partitions",
        "pipeline",
        "propagate_only",
        "relation",
        "root_state",
        "roots",
        "sampling",
        "sink",
        "tombstone",
        "weight",
    )

    def __init__(
        self,
        pipeline: Pipeline,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Attribute],
        *,
        sampling: Decider,
        destination: str | None = None,
        relation: Relation = "parent",
        propagate_only: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.sink = pipeline.sink
        self.now = pipeline.clock.now
        self.name = name
        self.kind: Kind = kind
        self.attributes: Mapping[str, Attribute] = MappingProxyType(dict(attributes))
        self.destination = destination
        self.relation: Relation = relation
        self.propagate_only = propagate_only
        self.sampling = sampling
        self.roots = None if sampling.threshold is None else identity.roots_for(sampling.threshold)
        self.root_state = sampling.state
        self.encoded = (
            proto.text(0x2A, name)
            + bytes((0x30, KINDS[kind]))
            + b"".join(proto.attribute(0x4A, key, value) for key, value in attributes.items())
        )
        #: Bytes that each span is weighed with: not 0 if the name is so long that the template is not kept.
        self.weight = 0 if len(self.encoded) <= _LONGEST else name.__sizeof__() + len(self.encoded)
        self.follows_parent_only = (
            not (propagate_only or self.weight) and pipeline.spend is None and sampling.follows and relation == "parent"
        )
        #: ``encoded`` and a partition, by the partition's number; the encoder fills it.
        self.partitions: dict[int, bytes] = {}
        #: The same operation on a message without a value, made when the first one is seen.
        self.tombstone: Template | None = None
        #: The same operation with kind CLIENT: the message carries a context that is not the send span's.
        self.client: Template | None = None

    def with_attribute(self, key: str, value: Attribute) -> Template:
        """The same operation with one attribute more."""
        return self._copy(self.kind, {**self.attributes, key: value})

    def as_client(self) -> Template:
        """The same operation with kind CLIENT."""
        if self.client is None:
            self.client = self._copy("client", self.attributes)
        return self.client

    def _copy(self, kind: Kind, attributes: Mapping[str, Attribute]) -> Template:
        return Template(
            self.pipeline,
            self.name,
            kind,
            attributes,
            sampling=self.sampling,
            destination=self.destination,
            relation=self.relation,
            propagate_only=self.propagate_only,
        )
