"""Writes a GGUF model with llama.cpp's own quantiser in another type, so that it can be measured at the types it is fastest at.

Usage: requantise.py IN.gguf OUT.gguf q4_0|q8_0
"""
import ctypes
import os
import sys

import llama_cpp

TYPES = {"q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0}


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in TYPES:
        sys.exit(__doc__)
    source, target, kind = sys.argv[1:]
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = TYPES[kind]
    settings.allow_requantize = True
    unfinished = target + ".tmp"
    code = llama_cpp.llama_model_quantize(source.encode(), unfinished.encode(), ctypes.byref(settings))
    if code != 0:
        sys.exit(f"requantise.py: llama.cpp could not write {target} (code {code})")
    os.replace(unfinished, target)


main()
