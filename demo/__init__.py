"""The chapter, typed command by command against a real engine, with the facts that its output must show."""
