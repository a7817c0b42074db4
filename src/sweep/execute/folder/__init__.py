"""Packs trained by workers anywhere, which share nothing with the driver but the study's folder."""
