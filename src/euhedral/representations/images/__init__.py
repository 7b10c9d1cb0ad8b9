"""Pictures of crystals as instruments would take them, with the truth about what is on them.

`diffraction_image` draws single-crystal diffraction, `stem` annular-dark-field micrographs of slabs and sheets,
`microstructure` grains and phases as a scanning electron microscope shows them, and `sem_scenes` whole-image classes.
All give an `Image`; whatever is random is drawn from the generator that is handed in.
"""
