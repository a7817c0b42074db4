"""A pack: adapters that are trained together on one frozen base."""
