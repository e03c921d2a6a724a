"""The work behind the commands; imported when one is called, since it needs the whole of decco."""
