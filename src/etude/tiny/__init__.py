"""The tiny world: puzzle families, a grammar for pretraining text, a model of a million weights.

families   108 kinds of one-line puzzles with their solutions, split into training and held out
grammar    random typed puzzle-like text, for pretraining
model      a tokenizer and an untrained transformer, written to a folder
"""
