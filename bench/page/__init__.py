"""How soon the page of ``mqtrace ui`` is drawn, in a real browser, over a database that holds what a team's would."""
