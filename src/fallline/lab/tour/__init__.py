"""The Learn tour: its pages as Markdown, and the experiments behind their figures, each run by the engine."""
