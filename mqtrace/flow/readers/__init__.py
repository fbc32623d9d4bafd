"""Sources of spans as messages: a topic, a file. A reader returns payloads, and knows how far it has read."""
