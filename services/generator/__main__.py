"""`python -m services.generator`: run the generator's agent and a Triton. Settings: `GENERATOR_*`, see README.md."""

if __name__ == "__main__":  # before the imports, so that a signal during them does not print a traceback
    from serving.process.entry import begin

    begin()

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from serving.process.memory import keep_large_blocks_apart
from serving.process.settings import from_environment
from serving.rpc.server import run_service


async def build() -> tuple[AgentService, GeneratorSettings]:
    """Create the service from the environment. Raises BadSettings."""
    settings = from_environment(GeneratorSettings, "GENERATOR_")
    keep_large_blocks_apart()
    return AgentService(settings), settings


if __name__ == "__main__":
    run_service(build)
