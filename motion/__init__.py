"""What a dance is: frames, poses, bodies, stages and label maps. NumPy and OpenCV only; imports no package of ours."""
