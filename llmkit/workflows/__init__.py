"""One straight line a command; the only place where data, models, engine and tasks meet."""
