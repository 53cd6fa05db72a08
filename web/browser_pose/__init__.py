"""Pose in the browser: the files and the tables with which a page finds poses on its own machine."""
