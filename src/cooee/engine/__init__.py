"""What runs by itself: claims, marks, submits, records; what becomes due; who holds which bind."""
