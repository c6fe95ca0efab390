"""What every way of sending says when a message did not arrive."""


class NotDeliveredError(Exception):
    """It did not arrive, for all we know; the message says why, without the address."""
