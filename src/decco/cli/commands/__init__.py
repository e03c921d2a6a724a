"""The subcommands of ``decco``, one module each; ``decco.cli.main`` lists them and defines their interface."""
