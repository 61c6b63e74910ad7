"""The live page and its server: shows what others compute."""
