"""The loop: state, store, engine, reconciling, events."""
