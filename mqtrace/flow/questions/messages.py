"""What `flow` and `missing` share: messages, and which delivery is of which message.

A message is the context that it carries, its destination and its attempt. Where several sends carry one context, those
to one destination are one message (create and send), unless they have offsets of their own; and a delivery is of the
send whose partition and offset it has, or on AMQP of the one whose name its own begins with.
"""

from __future__ import annotations

from mqtrace.flow.engine import Dialect

__all__ = ["buried", "messages", "pairs"]


def messages(d: Dialect, only: str = "1 = 1") -> str:
    """CTEs up to ``messages``: mt, ms, start_ns, service, destination, system, part, pos, failed, retry, delay_s,
    server, forked. ``only``: which sends, a condition."""
    has_offset = "CASE WHEN s.pos IS NULL THEN 0 ELSE 1 END"
    return f"""
sends AS (SELECT * FROM {d.sent("back", "hi")} one WHERE destination IS NOT NULL AND {only}),
again AS (
  SELECT mt, ms, 1 AS hit, CASE WHEN min(destination) <> max(destination) THEN 1 ELSE 0 END AS forked
  FROM sends GROUP BY mt, ms HAVING count(*) > 1
),
messages AS (
  SELECT s.mt AS mt, s.ms AS ms, s.start_ns AS start_ns, s.service AS service, s.destination AS destination,
    s.system AS system, s.part AS part, s.pos AS pos, s.failed AS failed, s.retry AS retry, s.delay_s AS delay_s,
    s.server AS server, 0 AS forked
  FROM sends s LEFT JOIN again a ON a.mt = s.mt AND a.ms = s.ms WHERE coalesce(a.hit, 0) = 0
  UNION ALL
  SELECT mt, ms, min(start_ns), {d.some("service")}, destination, {d.some("system")}, part, pos, max(failed), retry,
    max(delay_s), {d.some("server")}, max(forked)
  FROM (
    SELECT s.mt AS mt, s.ms AS ms, s.start_ns AS start_ns, s.service AS service, s.destination AS destination,
      s.system AS system, s.part AS part, s.pos AS pos, s.failed AS failed, s.retry AS retry, s.delay_s AS delay_s,
      s.server AS server, a.forked AS forked,
      max({has_offset}) OVER (PARTITION BY s.mt, s.ms, s.destination, s.retry) AS known
    FROM sends s JOIN again a ON a.mt = s.mt AND a.ms = s.ms
  ) several
  WHERE pos IS NOT NULL OR known = 0
  GROUP BY mt, ms, destination, retry, part, pos
)"""


def pairs(d: Dialect, only: str = "1 = 1") -> str:
    """CTEs ``deliveries`` (as the dialect's ``received``) and ``pairs``: a delivery and the message it is of.

    ``only``: which pairs, a condition on m (the message) and r (the delivery)."""
    return f"""
deliveries AS (SELECT * FROM {d.received("lo", "ahead")} one),
pairs AS (
  SELECT m.mt AS mt, m.ms AS ms, m.destination AS sent_to, m.retry AS attempt, coalesce(m.pos, -1) AS sent_pos,
    m.start_ns AS sent_ns, m.service AS sender, coalesce(m.server, '') AS server, r.rid AS rid, r.start_ns AS start_ns,
    r.duration_ns AS duration_ns, r.service AS receiver, r.destination AS taken_from,
    coalesce(r.system, m.system) AS system, r.part AS part, r.pos AS pos, r.subscription AS subscription,
    r.failed AS failed, r.retry AS retry, r.latency_ms AS latency_ms, r.dead AS dead, r.dead_queue AS dead_queue,
    r.dead_reason AS dead_reason, r.threshold AS threshold
  FROM deliveries r JOIN messages m ON m.mt = r.mt AND m.ms = r.ms
  WHERE (m.pos IS NULL OR r.pos IS NULL
      OR (m.pos = r.pos AND coalesce(m.part, '') = coalesce(r.part, m.part, '')
        AND m.destination = coalesce(r.destination, m.destination)))
    AND (m.forked = 0 OR (m.pos IS NOT NULL AND r.pos IS NOT NULL) OR r.destination = m.destination
      OR {d.begins("coalesce(r.destination, '')", "concat(m.destination, ':')")}
      OR {d.queue("coalesce(r.destination, '')")} = {d.queue("m.destination")}
      OR r.dead_queue = {d.queue("m.destination")})
    AND {only}
)"""


def buried(d: Dialect) -> str:
    """CTEs up to ``judged``: pairs, and in ``buried`` whether a dead-letter handler took it.

    What came back into the queue that it died in was taken by that queue's own reader; what expired in a queue that
    nobody was seen to read was to wait there.
    """
    waited = f"p.dead_queue = {d.queue('p.sent_to')} AND coalesce(p.dead_reason, 'expired') = 'expired'"
    return f"""
alive AS (
  SELECT sent_to, subscription, 1 AS hit FROM pairs WHERE dead = 0 AND subscription IS NOT NULL
  GROUP BY sent_to, subscription
),
judged AS (
  SELECT p.*, CASE
    WHEN p.dead = 0 OR coalesce(p.dead_queue, '') = {d.queue("coalesce(p.taken_from, '?')")} THEN 0
    WHEN {waited} AND coalesce(a.hit, 0) = 0 THEN 0
    ELSE 1 END AS buried
  FROM pairs p LEFT JOIN alive a ON a.sent_to = p.sent_to AND a.subscription = p.dead_queue
)"""
