"""The compiler: from a graph to the text of a native program, in LLVM's language."""
