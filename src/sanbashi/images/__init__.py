"""Pure: references, manifests, layers."""
