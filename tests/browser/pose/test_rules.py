"""The finder's rules, its choice of a processor and its failures, in a real browser without networks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page

from motion.frame import FrameSize
from services.pose.estimator import PoseRules
from services.pose.mediapipe.landmarks import body_extent_px, body_pose, with_face_and_hands
from tests.browser.finder_page import finder_server
from tests.browser.visits import Visits

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SIZE: Final = FrameSize(640, 480)
_SCRIPTS: Final = {
    "silent.js": "onmessage = () => {};",
    "broken.js": "throw new Error('out of order');",
    "wordy.js": "onmessage = () => postMessage({error: {word: 'pose_no_webgl', text: 'no context'}});",
}
_JOINTS: Final = """async ([found, width, height]) => {
    const {joints} = await import('/pose/joints.js');
    const tables = await (await fetch('/api/skeleton')).json();
    for (const part of Object.keys(found)) found[part] &&= Float32Array.from(found[part]);
    const result = joints(found, width, height, tables);
    return result && Array.from(result);
}"""
_FAIL: Final = """async ([script, answer_ms]) => {
    const {PoseRunner} = await import('/pose/runner.js');
    const runner = new PoseRunner('/scripts/' + script, {start_ms: 30_000, answer_ms});
    const words = [];
    const picture = await createImageBitmap(new ImageData(4, 4));
    for (const ask of [() => runner.find(picture, 0), () => runner.find(picture, 1)]) {
        await ask().catch(error => words.push(error.word, error.message));
    }
    return words;
}"""
_CHOOSE: Final = """async ms_of => {
    const {PoseFinder} = await import('/pose/finder.js');
    const tables = await (await fetch('/api/skeleton')).json();
    const body = Float32Array.from({length: 99}, (_, i) => i % 3 === 2 ? 1 : (i % 7) / 7);
    const closed = [], asked = [];
    const runner = name => ({
        find: async () => {
            asked.push(name);
            if (ms_of[name] === null) throw new Error('lost');
            return {found: {body, face: null, left_hand: null, right_hand: null}, ms: ms_of[name]};
        },
        reset() {}, close: () => closed.push(name),
    });
    localStorage.clear();
    const key = 'pose-processor test', choice = {renderer: 'a GPU', measured: false, cpu_ms: null, gpu_ms: null};
    const finder = new PoseFinder(tables, {gpu: runner('gpu'), cpu: runner('cpu')}, 'gpu', key, choice);
    const picture = await createImageBitmap(new ImageData(4, 4));
    for (let time = 0; time < 40; time++) await finder.find(picture, 4, 4, time);
    const stored = JSON.parse(localStorage.getItem(key));
    return {processor: finder.processor, choice: finder.choice, closed, asked, stored};
}"""
_LOAD_NOTHING: Final = """async () => {
    const {load} = await import('/pose/files.js');
    const file = {name: 'holistic.binarypb', url: 'pose/nowhere/holistic.binarypb', size_bytes: 1, path_inside: ''};
    return load({files: [file]}).catch(error => error.word);
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def page(visits: Visits) -> AsyncIterator[Page]:
    async with finder_server({}, _SCRIPTS) as address:
        yield await visits.open(f"{address}/blank")


async def test_landmarks_become_the_joints_of_the_pose_service(page: Page) -> None:
    """Unsure joints and those outside the picture are unseen, small people are not reported, as in the service."""
    random, rules = np.random.default_rng(0), PoseRules()
    for size in (1.0, 1.0, 0.1):
        places = random.uniform(-0.2, 1.2, (33 + 478 + 21, 2)) * size
        marks = np.column_stack([places, random.uniform(0, 1, len(places))]).astype(np.float32)
        parts = {"body": marks[:33], "face": marks[33:511], "left_hand": marks[511:]}
        lists = {name: part.ravel().tolist() for name, part in parts.items()} | {"right_hand": None}
        found = await page.evaluate(_JOINTS, [lists, _SIZE.width_px, _SIZE.height_px])
        body = body_pose(parts["body"], _SIZE, rules.min_visibility)
        assert (found is None) == (size == 0.1) == (body_extent_px(body) < rules.min_height_fraction * _SIZE.height_px)
        if found is None:
            continue
        expected = with_face_and_hands(body, parts["face"], parts["left_hand"], None, _SIZE)
        table = np.array(found, np.float32).reshape(-1, 3)
        np.testing.assert_allclose(table[:, 2], expected.confidence, atol=1e-6)
        np.testing.assert_allclose(table[expected.seen, :2], expected.joints_px[expected.seen], atol=1e-3)


@pytest.mark.slow
async def test_every_failure_has_a_word(visits: Visits, page: Page) -> None:
    """A silent, a broken and a complaining worker and a missing file each have one; later pictures fail likewise."""
    failures = {
        "silent.js": ("pose_worker_silent", "did not answer within 50 ms"),
        "broken.js": ("pose_worker_failed", "out of order"),
        "wordy.js": ("pose_no_webgl", "no context"),
    }
    for script, (word, text) in failures.items():
        words = await page.evaluate(_FAIL, [script, 50 if script == "silent.js" else 30_000])
        assert words[::2] == [word, word]
        assert text in words[1]
    visits.expect_error("404")
    assert await page.evaluate(_LOAD_NOTHING) == "pose_files_missing"


@pytest.mark.slow
async def test_the_faster_processor_is_kept_and_remembered(page: Page) -> None:
    """Both are timed in the first pictures of a person; the slower one is closed, and one that fails is dropped."""
    for gpu_ms, cpu_ms, faster in ((9.0, 30.0, "gpu"), (300.0, 30.0, "cpu")):
        chosen = await page.evaluate(_CHOOSE, {"gpu": gpu_ms, "cpu": cpu_ms})
        assert chosen["processor"] == faster
        assert chosen["choice"] == {"renderer": "a GPU", "measured": True, "cpu_ms": cpu_ms, "gpu_ms": gpu_ms}
        assert chosen["stored"] == {"renderer": "a GPU", "processor": faster, "cpu_ms": cpu_ms, "gpu_ms": gpu_ms}
        assert chosen["closed"] == ["cpu" if faster == "gpu" else "gpu"]
        assert set(chosen["asked"][-20:]) == {faster}
    chosen = await page.evaluate(_CHOOSE, {"gpu": None, "cpu": 30.0})
    assert chosen["processor"] == "cpu"
    assert chosen["asked"].count("gpu") == 1
    assert chosen["stored"] is None
