"""Export over HTTP, against a receiver in a process of its own on this machine."""
