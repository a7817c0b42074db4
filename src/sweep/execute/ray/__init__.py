"""Packs trained by actors of Ray, which share nothing with the driver."""
