"""Tells drawn clips from filmed ones by pairs of consecutive frames.

As in Chan et al., "Everybody Dance Now" (2019), section "Fake Detection".
"""
