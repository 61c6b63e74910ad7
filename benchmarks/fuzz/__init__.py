"""Damaged, foreign and hostile files of every kind that Fallline reads, and a harness that feeds them to it.

    mutate*.py, hostile_graphs.py   what is done to a good file, from a seed
    samples.py                      the good files
    readers.py                      what a user would call on them
    kinds.py                        which mutators and readers belong to which kind of file: one entry a kind
    worker.py                       one process that tries mutants and judges what became of them
    campaign.py                     starts workers, survives their death, counts

`python -m benchmarks.fuzz KIND NUMBER [SEED]` tries one mutant again and shows everything.
"""
