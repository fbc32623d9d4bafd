"""Where spans come from as messages: a topic, a file. A reader gives payloads, and says how far it has read."""
