"""The imperceptible watermark: in every picture that a server sends, found again without the original."""
