"""Figures drawn as SVG text: frozen values in, a string out. Pure.

Colours are CSS variables of `figures.css`, which a page includes once; without it a figure is black on white. Every figure has a
title and a description for those who do not see it, and tells nothing by colour alone.
"""
