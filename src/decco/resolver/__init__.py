"""The addresses of host names, asked for again before their answers are old.

Who needs names declares them (``service.py``), and is called when their addresses change. ``query.py`` asks one name.
"""
