"""From logits to predictions, and from predictions to figures with intervals."""
