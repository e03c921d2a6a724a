"""The subcommands of ``decco``, one module each; ``decco.cli.main`` lists them and says what a module must have."""
