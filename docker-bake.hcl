# docker buildx bake              builds every image
# docker buildx bake pose face    these
# REGISTRY=registry.example/me docker buildx bake --push
# The names are those of scripts/images.py, which also writes them into the manifests.
variable "REGISTRY" {
  default = ""
}

variable "VERSION" {
  default = "0.2.0"
}

variable "REVISION" {
  default = "unknown"
}

function "tags" {
  params = [name]
  result = [REGISTRY == "" ? "everybody-dance/${name}:${VERSION}" : "${REGISTRY}/everybody-dance-${name}:${VERSION}"]
}

group "default" {
  targets = ["pose", "normalize", "face", "orchestrator", "agent", "triton", "triton-cpu", "training"]
}

target "ours" {
  context = "."
  args = {
    VERSION  = VERSION
    REVISION = REVISION
  }
}

target "pose" {
  inherits   = ["ours"]
  dockerfile = "services/pose/Dockerfile"
  tags       = tags("pose")
}

target "normalize" {
  inherits   = ["ours"]
  dockerfile = "services/normalize/Dockerfile"
  tags       = tags("normalize")
}

target "face" {
  inherits   = ["ours"]
  dockerfile = "services/face/Dockerfile"
  tags       = tags("face")
}

target "orchestrator" {
  inherits   = ["ours"]
  dockerfile = "orchestrator/Dockerfile"
  tags       = tags("orchestrator")
}

target "agent" {
  inherits   = ["ours"]
  dockerfile = "services/generator/Dockerfile.agent"
  tags       = tags("agent")
}

target "triton" {
  inherits   = ["ours"]
  dockerfile = "services/generator/Dockerfile.triton"
  tags       = tags("triton")
}

target "triton-cpu" {
  inherits   = ["ours"]
  dockerfile = "services/generator/Dockerfile.triton-cpu"
  tags       = tags("triton-cpu")
}

target "training" {
  inherits   = ["ours"]
  dockerfile = "training/Dockerfile"
  tags       = tags("training")
}
