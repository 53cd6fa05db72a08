"""Whether, and where, a gateway makes actors."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette

from serving.errors import BadSettings
from tests.unit.web.dances.conftest import Browser
from web.access.refusals import Refused, refusal_response
from web.access.visitors import Visitors
from web.making.makings import makings_of
from web.making.routes import routes
from web.settings import WebSettings


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/name"), ("PUT", "/1/footage")])
async def test_a_gateway_that_makes_no_actors_says_so(method, path):
    """Whatever is asked, also by a page of a later release."""
    app = Starlette(
        routes=routes(None, Visitors(needs_token=False)),
        exception_handlers={Refused: lambda request, error: refusal_response(error)},
    )
    assert (await Browser(app).ask(method, f"/api/makings{path}")).refusal == (404, "not_offered")


def test_it_is_off_by_default():
    """Visitors use the host's cores and disk only if the host says so."""
    assert WebSettings().makes_actors is False


@pytest.mark.parametrize("folder", [None, "/data/making", "/footage/../data"])
def test_jobs_must_be_able_to_read_the_footage(folder):
    """On a cluster it lies in the volume that their pods mount."""
    with pytest.raises(ValueError, match="making_folder must be below /footage"):
        WebSettings(makes_actors=True, making_on="kubernetes", making_folder=None if folder is None else Path(folder))
    there = WebSettings(makes_actors=True, making_on="kubernetes", making_folder=Path("/footage/making"))
    assert there.makings_folder == Path("/footage/making")


def test_a_machine_that_cannot_train_is_said_at_the_start(monkeypatch, tmp_path):
    """Not when the first visitor has filmed; a gateway on a cluster needs no torch."""
    monkeypatch.setattr("web.making.makings.find_spec", lambda package: None)
    with pytest.raises(BadSettings, match="training needs torch"):
        makings_of(WebSettings(makes_actors=True, data_folder=tmp_path))
    makings_of(WebSettings(makes_actors=True, making_on="kubernetes", making_folder=Path("/footage/making")))


async def test_two_gateways_do_not_share_a_folder(tmp_path):
    """Each would train what the other trains."""
    settings = WebSettings(makes_actors=True, data_folder=tmp_path)
    async with makings_of(settings):
        with pytest.raises(BadSettings, match="is used by another gateway"):
            async with makings_of(settings):
                pass
