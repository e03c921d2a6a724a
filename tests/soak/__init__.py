"""A day in a platform's life, and what the controller must not have gathered in it: see ``__main__``."""
