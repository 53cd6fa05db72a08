"""The `mediapipe` pose backend."""
