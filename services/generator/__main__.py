"""`python -m services.generator`: run the generator's agent and a Triton. Settings: `GENERATOR_*`, see README.md."""

if __name__ == "__main__":  # before the imports, so that a signal during them does not print a traceback
    from serving.process.entry import begin

    begin()

from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from serving.process.memory import keep_large_blocks_apart
from serving.rpc.server import run_service

if __name__ == "__main__":
    keep_large_blocks_apart()
    run_service(AgentService, GeneratorSettings, "GENERATOR_")
