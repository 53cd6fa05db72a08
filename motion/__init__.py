"""The data of a dance: frames, poses, bodies, crops and label maps. Imports NumPy and OpenCV, none of our packages."""
