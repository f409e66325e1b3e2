"""Programs that run inside a peer's environment; they do not import Steelyard."""
