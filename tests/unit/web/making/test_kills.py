"""A gateway that is killed in the middle of a training."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from tests.unit.web.dances.conftest import PATIENCE_SECONDS
from tests.unit.web.making.conftest import FakeTrainer
from tests.unit.web.making.killed_gateway import VISITOR, settings_in
from web.making.makings import Makings
from web.making.store import MakingStore


@pytest.mark.slow
async def test_a_killed_gateway_leaves_no_training_behind_and_the_next_one_goes_on(tmp_path, root):
    """SIGKILL ends the training too, by SIGTERM, with a checkpoint; the next gateway starts the same one again."""
    os.mkfifo(tmp_path / "ended")
    pipe, ended = os.open(tmp_path / "ended", os.O_RDWR | os.O_NONBLOCK), asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, ended.set)
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.unit.web.making.killed_gateway", str(tmp_path)),
        cwd=root,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert gateway.stdout is not None
    try:
        making_id = (await gateway.stdout.readline()).decode().strip()
    finally:
        gateway.kill()
        await gateway.wait()
    (work,) = (tmp_path / "makings").glob(f"*/{making_id}/work")
    trainer = FakeTrainer()
    async with Makings(MakingStore(settings_in(tmp_path)), trainer) as makings:
        run = await trainer.next()
        assert (run.training.work, run.submission) == (work, f"{making_id}-1")
        assert run.training.footage[0].is_file()
        assert makings.view(makings.store.find(VISITOR.id, making_id))["state"] == "training"
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ended.wait()
    asyncio.get_running_loop().remove_reader(pipe)
    os.close(pipe)
