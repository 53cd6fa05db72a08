# docker buildx bake              builds every image
# docker buildx bake pose face    builds these
# REGISTRY=registry.example/me docker buildx bake --push
# scripts/images.py uses the same names and also writes them into the manifests.
variable "REGISTRY" {
  default = ""
}

variable "VERSION" {
  default = "0.2.0"
}

variable "REVISION" {
  default = "unknown"
}

group "default" {
  targets = ["images"]
}

target "images" {
  name = image.name
  matrix = {
    image = [
      { name = "pose", extras = "pose" },
      { name = "normalize", extras = "normalize" },
      { name = "face", extras = "face" },
      { name = "orchestrator", extras = "orchestrator" },
      { name = "agent", extras = "generator" },
      { name = "triton", extras = "generator,gpu" },
      { name = "triton-cpu", extras = "generator,triton" },
      { name = "training", extras = "training" },
      { name = "web", extras = "web,deploy" },
    ]
  }
  context    = "."
  dockerfile = image.name == "triton" ? "services/generator/Dockerfile.triton" : "Dockerfile"
  target     = image.name
  args = {
    EXTRAS   = image.extras
    VERSION  = VERSION
    REVISION = REVISION
  }
  tags = [REGISTRY == "" ? "everybody-dance/${image.name}:${VERSION}" : "${REGISTRY}/everybody-dance-${image.name}:${VERSION}"]
}
