"""Crystals as text for language models: formats (what the text says) and tokenisers (how it becomes numbers).

| published system | format | tokeniser |
|---|---|---|
| CrystaLLM (Antunes et al. 2024, arXiv:2307.04340) | `CifFormat` | `cif_tokeniser` |
| LM-CM, LM-AC (Flam-Shepherd and Aspuru-Guzik 2023, arXiv:2305.05708) | `CoordinateFormat` | `character_tokeniser`, `CoordinateTokeniser` |
| Gruver et al. 2024, arXiv:2402.04379 | `PlainFormat` | that of the foreign model |
"""
