"""A carrier of one's own: the context in the lines of a job file.

A carrier is four methods over whatever holds the headers. ``mqtrace.testing.CarrierContract`` is the suite that our
own carriers pass; subclass it in your tests.

    python -m examples.own_carrier
"""

from __future__ import annotations

import mqtrace


class JobFile:
    """Lines of ``# name: value`` before the job itself."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()

    def get(self, name: str) -> str | None:
        """The value; None where there is none."""
        for line in self.lines:
            if line.startswith(f"# {name}: "):
                return line.partition(": ")[2]
        return None

    def set(self, name: str, value: str) -> None:
        """Write it, in place of what was there."""
        self.remove(name)
        self.lines.insert(0, f"# {name}: {value}")

    def remove(self, name: str) -> None:
        """Take it out."""
        self.lines = [line for line in self.lines if not line.startswith(f"# {name}: ")]

    def names(self) -> list[str]:
        """Every name that is there."""
        return [line[2:].partition(": ")[0] for line in self.lines if line.startswith("# ") and ": " in line]


def main() -> None:
    """Write a job, and run it."""
    tracer = mqtrace.configure("jobs")
    job = JobFile("echo hello")
    with tracer.start_span("write job", kind="producer"):
        tracer.inject(job)
    with tracer.start_span("run job", kind="consumer", parent=tracer.extract(job)):
        print("\n".join(job.lines))
    mqtrace.shutdown()


if __name__ == "__main__":
    main()
