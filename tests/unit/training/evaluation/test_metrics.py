import numpy as np
import pytest
from scipy.ndimage import correlate1d

from motion import skeleton
from motion.face_region import FaceRule, cut_face, face_region
from motion.pose import Pose
from training.evaluation.metrics import body_box, pose_distance, score_pictures, score_poses

RULE = FaceRule(side_per_face_size=2.0, min_side_px=8)


def test_the_real_picture_scores_perfectly(prepared):
    """A picture scores SSIM 1 against itself; noise scores lower on body and face."""
    real, poses = list(prepared.pictures[:3]), prepared.poses[:3]
    perfect = score_pictures(real, real, poses, RULE)
    assert (perfect.frames, perfect.faces) == (3, 3)
    assert perfect.body_ssim == pytest.approx(1, abs=1e-5)
    assert perfect.face_ssim == pytest.approx(1, abs=1e-5)
    noisy = [np.roll(picture, 3, axis=1) for picture in real]
    worse = score_pictures(noisy, real, poses, RULE)
    assert worse.body_ssim < 0.9
    assert worse.face_psnr_db is not None
    assert worse.face_psnr_db < 30


def test_known_error_gives_the_known_psnr(prepared):
    """Pictures that are 10 too bright have a PSNR of 20 log10(255 / 10) = 28.13 dB."""
    dark = np.full((1, 32, 32, 3), 100, np.uint8)
    scores = score_pictures(list(dark + 10), list(dark), prepared.poses[:1], RULE)
    assert scores.body_psnr_db == pytest.approx(28.13, abs=0.01)


def by_hand(picture, truth):
    """SSIM of float64 pictures, its mean over all pixels and over those whose whole window lies inside."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()

    def blurred(values):
        for axis in (0, 1):
            values = correlate1d(values, weights, axis=axis, mode="mirror")
        return values

    x, y = picture.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = blurred(x), blurred(y)
    var_x, var_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance = blurred(x * y) - mean_x * mean_y
    ssim = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return ssim.mean(), ssim[5:-5, 5:-5].mean()


@pytest.mark.parametrize("seed", range(3))
def test_ssim_with_and_without_its_border_is_that_by_hand(pose_at, seed):
    """SSIM equals that by hand in both conventions: over the mirrored crop, and inside as in scikit-image."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 256, (32, 32, 3), np.uint8)
    truth[:, 10:22] = np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None]  # the middle is smooth, the edges are not
    drawn = np.clip(truth.astype(int) + random.integers(-40, 41, truth.shape), 0, 255).astype(np.uint8)
    pose = pose_at(16)
    scores = score_pictures([drawn], [truth], [pose], RULE)
    box = body_box(pose, 32, 32)
    assert (scores.body_ssim, scores.body_ssim_inside) == pytest.approx(by_hand(drawn[box], truth[box]), abs=2e-4)
    region = face_region(pose, RULE, 32, 32)
    assert region is not None
    face = [cut_face(whole, region, max(region.side_px, 12)) for whole in (drawn, truth)]
    assert (scores.face_ssim, scores.face_ssim_inside) == pytest.approx(by_hand(*face), abs=2e-4)
    assert abs(scores.body_ssim - scores.body_ssim_inside) > 0.002


def test_ssim_inside_is_scikit_images(pose_at):
    """scikit-image 0.26.0 of this pair: structural_similarity(truth, drawn, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=255, channel_axis=2)."""
    random = np.random.default_rng(7)
    truth = np.repeat(np.repeat(random.integers(0, 256, (5, 4, 3), np.uint8), 8, axis=0), 8, axis=1)
    drawn = np.clip(truth.astype(int) + random.integers(-25, 26, truth.shape), 0, 255).astype(np.uint8)
    joints_px, seen = np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[1], seen[:2] = (32, 40), 1  # so that the box is the whole picture
    scores = score_pictures([drawn], [truth], [Pose(joints_px, seen)], RULE)
    assert scores.body_ssim_inside == pytest.approx(0.8799389237955596, abs=1e-5)
    assert scores.body_ssim == pytest.approx(0.79478, abs=1e-5)


def test_poses_without_a_face_score_the_body_only(prepared, pose_at):
    """A pose without a face has no face score."""
    scores = score_pictures([prepared.plate], [prepared.plate], [pose_at(16, face=False)], RULE)
    assert (scores.faces, scores.face_ssim, scores.face_psnr_db) == (0, None, None)


def test_scores_need_as_many_of_everything(prepared):
    """Nothing to score, and lists of different lengths, are errors."""
    for count in (0, 1):
        with pytest.raises(ValueError, match="cannot score"):
            score_pictures([prepared.plate] * count, [], prepared.poses[:count], RULE)


def test_body_box_stays_inside_of_the_picture(pose_at):
    """The box stays inside for a person at the edge, and is never smaller than SSIM's window."""
    for x_px in (-20, 0, 16, 31, 60):
        rows, columns = body_box(pose_at(x_px), 32, 32)
        assert 0 <= rows.start < rows.stop <= 32
        assert 0 <= columns.start <= columns.stop - 12
        assert columns.stop <= 32
    with pytest.raises(ValueError, match="without joints"):
        body_box(Pose.nothing_seen(), 32, 32)


def test_pose_distance_is_in_torso_lengths(pose_at):
    """Four pixels at a torso of eight are a distance of one half, whatever else was seen."""
    assert pose_distance(pose_at(16), pose_at(16)) == 0
    assert pose_distance(pose_at(16), pose_at(20, face=False)) == pytest.approx(0.5)


def test_unsure_joints_do_not_count(pose_at):
    """A joint with a confidence below 0.5 in either pose is left out; if none is left there is no distance."""
    asked, found = pose_at(16), pose_at(16)
    joints, confidence = found.joints_px.copy(), found.confidence.copy()
    joints[skeleton.L_ANKLE] += 100
    confidence[skeleton.L_ANKLE] = 0.4
    assert pose_distance(asked, Pose(joints, confidence)) == 0
    assert pose_distance(asked, Pose(joints, np.minimum(confidence, 0.4))) is None
    assert pose_distance(Pose.nothing_seen(), found) is None


def test_detector_is_asked_of_every_run_anew(fake_estimator, pose_at):
    """Each run has its own tracker, frames without a pose are counted, and distances average over the others."""
    bright, dark = np.full((32, 32, 3), 200, np.uint8), np.zeros((32, 32, 3), np.uint8)
    scores = score_poses([[bright, dark], [bright]], [[pose_at(16), pose_at(16)], [pose_at(20)]])
    assert (scores.frames, scores.frames_with_a_pose) == (3, 2)
    assert scores.distance == pytest.approx(0.25)
    assert fake_estimator.started == 2
    nobody = score_poses([[dark]], [[pose_at(16)]])
    assert (nobody.frames_with_a_pose, nobody.distance) == (0, None)
