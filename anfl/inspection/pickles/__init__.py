"""Reads pickles opcode by opcode, as their loaders would, without calling anything."""
