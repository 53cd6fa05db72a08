"""The data of a dance: frames, poses, bodies, crops and label maps. Imports NumPy and OpenCV, and none of our packages."""
