"""The vocabulary of the product: resource models, names, conditions, credentials. No I/O.

`codesession` and `apikey` are the single source of every schema; `generate` writes the CustomResourceDefinitions
from them.
"""
