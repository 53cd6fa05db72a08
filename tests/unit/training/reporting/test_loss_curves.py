import numpy as np

from training.reporting.loss_curves import Curves, _ForgivingFile


def rows(folder):
    return [line.split(",") for line in (folder / "body-losses.csv").read_text().splitlines()]


def test_every_step_is_a_row_that_reads_back_the_same(tmp_path):
    """Numbers are exact, and the columns have names."""
    curves = Curves(tmp_path, "body", 0)
    curves.add(2, 0.5, 2e-4, {"l1": 0.1 + 0.2, "judge": 1 / 3})
    curves.close()
    header, row = rows(tmp_path)
    assert header == ["pictures", "seconds", "rate", "l1", "judge"]
    assert [float(value) for value in row] == [2, 0.5, 2e-4, 0.1 + 0.2, 1 / 3]


def test_rows_behind_the_checkpoint_and_torn_rows_are_dropped(tmp_path):
    """A resumed run writes lost steps again; other rows stay, in one table."""
    curves = Curves(tmp_path, "body", 0)
    for pictures in (2, 4, 6):
        curves.add(pictures, 1.0, 1e-4, {"judge": float(pictures)})
    curves.close()
    with (tmp_path / "body-losses.csv").open("a") as file:
        file.write("8,1.0,0.00")
    again = Curves(tmp_path, "body", 4)
    again.add(6, 2.0, 1e-4, {"judge": 9.0})
    again.close()
    assert [(row[0], row[-1]) for row in rows(tmp_path)[1:]] == [("2", "2.0"), ("4", "4.0"), ("6", "9.0")]


def test_rewinding_drops_what_came_after(tmp_path):
    """A training that was put back continues its curve from there."""
    curves = Curves(tmp_path, "body", 0)
    for pictures in (2, 4):
        curves.add(pictures, 1.0, 1e-4, {"judge": 0.0})
    curves.rewind(2)
    curves.add(4, 1.5, 5e-5, {"judge": 1.0})
    curves.close()
    assert [row[-1] for row in rows(tmp_path)[1:]] == ["0.0", "1.0"]


def test_another_training_has_its_own_columns(tmp_path):
    """A training that starts over replaces the table."""
    curves = Curves(tmp_path, "body", 0)
    curves.add(2, 1.0, 1e-4, {"judge": 0.0})
    curves.close()
    anew = Curves(tmp_path, "body", 0)
    anew.add(2, 1.0, 1e-4, {"l1": 0.0, "judge": 0.5})
    anew.close()
    assert rows(tmp_path)[0][3:] == ["l1", "judge"]
    assert len(rows(tmp_path)) == 2


def test_a_full_disk_ends_the_file_for_tensorboard_quietly():
    """A full disk does not block TensorBoard's thread; writing a row of the table raises the error."""
    file = _ForgivingFile("forgiving:/dev/full")
    file.write(bytes(100_000))
    file.flush()
    file.close()


def test_scalars_and_pictures_are_there_for_tensorboard(tmp_path):
    """An event file contains losses, waiting times, scores and the sheet of held-out frames."""
    curves = Curves(tmp_path, "body", 0)
    curves.add(2, 1.0, 1e-4, {"judge": 0.25})
    curves.show(2, {"body_ssim": 0.5}, np.zeros((8, 8, 3), np.uint8))
    curves.close()
    (events,) = (tmp_path / "tensorboard" / "body").iterdir()
    content = events.read_bytes()
    for words in (
        b"training/judge",
        b"learning_rate",
        b"seconds_waited_for_data",
        b"held_out/body_ssim",
        b"asked_drawn_real",
    ):
        assert words in content
