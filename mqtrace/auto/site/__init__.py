"""The folder that ``mqtrace run`` puts first on PYTHONPATH, for the ``sitecustomize`` in it."""
