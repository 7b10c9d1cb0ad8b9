"""Pictures: what is written is what is read, and what makes no sense is refused in one line."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from euhedral.errors import FileFormatError, InvalidRequestError, RunFolderError
from euhedral.representations.images.image import Image, checked_size, read_image, write_image
from euhedral.representations.images.png import write_mask_png, write_png


def decoded(path):
    """The rows of an 8-bit PNG, read by the letter of the specification."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + body)
        chunks[name] = chunks.get(name, b"") + body
        at += 12 + length
    assert at == len(data)
    assert list(chunks)[-1] == b"IEND"
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape((height, width, 3) if kind == 2 else (height, width)), chunks


def test_a_grey_png_runs_from_the_darkest_to_the_brightest(tmp_path):
    rows, _ = decoded(write_png(tmp_path / "a.png", pixels=[[-2.0, 0.0, 2.0], [-2.0, 2.0, -1.0]]))
    assert rows.tolist() == [[0, 128, 255], [0, 255, 64]]


def test_a_colour_png_keeps_its_channels_apart(tmp_path):
    pixels = np.zeros((3, 4, 5))
    pixels[0, 0, 1], pixels[1, 1, 2], pixels[2, 3, 4] = 1.0, 0.5, 0.25
    rows, _ = decoded(write_png(tmp_path / "a.png", pixels=pixels, gamma=0.5))
    assert rows[0, 1].tolist() == [255, 0, 0]
    assert rows[1, 2].tolist() == [0, round(255 * 0.5**0.5), 0]
    assert rows[3, 4].tolist() == [0, 0, round(255 * 0.5)]


def test_a_mask_png_stores_the_class_numbers_and_a_colour_for_each(tmp_path):
    mask = np.arange(12).reshape(3, 4)
    rows, chunks = decoded(write_mask_png(tmp_path / "m.png", mask=mask))
    assert np.array_equal(rows, mask)
    colours = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) == 12


def test_an_image_survives_its_file(tmp_path):
    rng = np.random.default_rng(1)
    image = Image(
        rng.random((2, 6, 7)), pixel_size=0.25, unit="Å", mask=rng.integers(0, 3, (6, 7)), classes=("vacuum", "W", "Se2"),
        positions=[[1.5, 2.25], [3.0, 4.0]], labels=[2, 1], label="sheet",
    )  # fmt: skip
    files = write_image(tmp_path / "name.of.it.png", image=image)
    assert sorted(file.name for file in files) == [
        "name.of.it.0.png", "name.of.it.1.png", "name.of.it.mask.png", "name.of.it.npz",
    ]  # fmt: skip
    back = read_image(tmp_path / "name.of.it.npz")
    for name in ("pixels", "mask", "positions", "labels"):
        assert np.array_equal(getattr(back, name), getattr(image, name))
    assert (back.pixel_size, back.unit, back.classes, back.label) == (0.25, "Å", ("vacuum", "W", "Se2"), "sheet")


def test_an_image_without_truth_survives_its_file(tmp_path):
    write_image(tmp_path / "plain", image=Image(np.eye(3), pixel_size=1.0, unit="nm", positions=[[0.0, 1.0]]))
    back = read_image(tmp_path / "plain.npz")
    assert back.mask is None
    assert back.classes == ()
    assert back.positions.tolist() == [[0.0, 1.0]]


def test_an_image_cannot_be_changed():
    image = Image(np.eye(3), pixel_size=1.0, unit="Å")
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 2.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixels": np.zeros((0, 4))}, "pixels"),
        ({"pixels": np.zeros(4)}, "pixels"),
        ({"pixels": np.full((2, 2), np.nan)}, "NaN"),
        ({"pixel_size": 0.0}, "positive"),
        ({"mask": np.zeros((3, 2), int)}, "mask"),
        ({"mask": np.ones((2, 2), int), "classes": ("one",)}, "names"),
        ({"mask": np.full((2, 2), -1), "classes": ("one",)}, "names"),
        ({"positions": np.zeros((2, 3))}, "positions"),
        ({"positions": np.zeros((2, 2)), "labels": [0, 1], "classes": ("one",)}, "names"),
        ({"positions": np.zeros((2, 2)), "labels": [0], "classes": ("one",)}, "labels"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused(changes, words):
    with pytest.raises(InvalidRequestError, match=words) as caught:
        Image(**{"pixels": np.zeros((2, 2)), "pixel_size": 1.0, "unit": "Å", **changes})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -3, (4, 0), (4, 4, 4), (4.5, 2)])
def test_a_size_without_pixels_is_refused(size):
    with pytest.raises(InvalidRequestError, match="pixels"):
        checked_size(size)


def test_what_png_cannot_show_is_refused(tmp_path):
    with pytest.raises(InvalidRequestError, match="channels"):
        write_png(tmp_path / "a.png", pixels=np.zeros((2, 3, 3)))
    with pytest.raises(InvalidRequestError, match="finite"):
        write_png(tmp_path / "a.png", pixels=np.full((3, 3), np.inf))
    with pytest.raises(InvalidRequestError, match="gamma"):
        write_png(tmp_path / "a.png", pixels=np.eye(3), gamma=0.0)
    with pytest.raises(InvalidRequestError, match="0 to 255"):
        write_mask_png(tmp_path / "a.png", mask=np.full((2, 2), 256))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError):
        write_png(tmp_path / "file" / "a.png", pixels=np.eye(3))


def test_a_file_that_is_no_image_is_named(tmp_path):
    other, text = tmp_path / "other.npz", tmp_path / "text.npz"
    np.savez(other, pixels=np.eye(2))
    text.write_text("no archive")
    for path in (other, text, tmp_path / "missing.npz"):
        with pytest.raises(FileFormatError, match=path.name):
            read_image(path)
