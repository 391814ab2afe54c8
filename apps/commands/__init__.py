"""The verbs of the command line, one module each; torch is imported by the verb that needs it."""
