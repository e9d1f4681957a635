"""The one exception that users see: a sentence saying what is wrong, where, and what to do."""


class HandmeshError(Exception):
    """A problem that the user can act on; its message is one complete sentence."""
