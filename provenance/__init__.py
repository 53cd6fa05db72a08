"""Says of every picture that it is synthetic: watermark, credentials, detector."""
