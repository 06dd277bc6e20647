"""The tour: every lesson is run through a kernel, and becomes a page that needs neither a kernel nor a network."""

from labkit.tour.walk import lessons, tour

__all__ = ["lessons", "tour"]
