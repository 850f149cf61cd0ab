"""Pure: DNS questions to answers."""
