"""Output from before a viewer came: shown without making its terminal answer, on a screen in the state of then.

`grammar` knows sequences, `queries` takes out what would be answered (`answered`), `modes` follows the state of a
terminal, `show` is both for one viewer, `history` knows that state at any place of the transcript. All but the last
are pure.
"""
