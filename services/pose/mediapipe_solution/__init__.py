"""The `mediapipe-solution` pose backend: the tracking that comes with MediaPipe's wheel."""
