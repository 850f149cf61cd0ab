"""Go's text/template, as docker's users type it."""
