"""`python -m services.generator`: the generator's agent, and a Triton. Settings: `GENERATOR_*`, see README.md."""

if __name__ == "__main__":  # ahead of the imports, in which a signal would end in a traceback
    from serving.process.entry import begin

    begin()

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from serving.process.memory import keep_large_blocks_apart
from serving.process.settings import from_environment
from serving.rpc.server import run_service


async def build() -> tuple[AgentService, GeneratorSettings]:
    """The service and its settings. Raises BadSettings."""
    settings = from_environment(GeneratorSettings, "GENERATOR_")
    keep_large_blocks_apart()
    return AgentService(settings), settings


if __name__ == "__main__":
    run_service(build)
