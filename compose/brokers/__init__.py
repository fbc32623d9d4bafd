"""Real brokers on this machine without Docker; the programs are compose/up and compose/down.

Standard library only and Python 3.9 or later, because they run before anything is installed.
"""
