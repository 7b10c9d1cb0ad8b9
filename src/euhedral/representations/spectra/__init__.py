"""Spectra of crystals: powder patterns and pair distributions computed; measured spectra read, compared and prepared."""
