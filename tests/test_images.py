"""People's image files made into MNIST's form."""

import numpy as np
import pytest
from PIL import Image

from tinygrad_digits.digits import ImageError, load_mnist, read_digit


@pytest.fixture(scope="module")
def digit():
    """One digit of MNIST: light ink on dark paper."""
    return load_mnist().test.images[0]


def likeness(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def enlarged(digit, size):
    return Image.fromarray(digit).resize((size, size), Image.Resampling.BOX)


def on_paper(digit):
    """The digit in blue ink, in a corner of an uneven and noisy sheet."""
    ink = np.asarray(enlarged(digit, 200), float)[..., None] / 255
    rng = np.random.default_rng(0)
    sheet = (
        np.full((500, 700, 3), [240.0, 235.0, 220.0])
        + np.linspace(-8, 8, 700)[:, None]
        + rng.normal(0, 4, (500, 700, 3))
    )
    sheet[280:480, 450:650] += ink * (np.array([20, 30, 120]) - [240, 235, 220])
    return Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8))


def see_through(digit):
    """Black ink where the digit is, and nothing elsewhere."""
    return Image.merge("RGBA", [*[Image.new("L", (280, 280))] * 3, enlarged(digit, 280)])


def unevenly_lit(digit):
    """Dark ink on paper that is twice as bright on one side as on the other."""
    paper = np.add.outer(np.linspace(0, 20, 420), np.linspace(110, 230, 420))
    ink = np.asarray(enlarged(digit, 420)) / 255
    return Image.fromarray((paper * (1 - ink) + 15 * ink).astype(np.uint8))


def chalk(digit):
    """White ink where the digit is, and nothing elsewhere."""
    return Image.merge("RGBA", [*[Image.new("L", (280, 280), 255)] * 3, enlarged(digit, 280)])


def turned_and_marked(digit):
    """The digit on its side, with the EXIF mark that says so."""
    image = Image.fromarray(255 - np.asarray(enlarged(digit, 280))).rotate(90)
    exif = image.getexif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    return image


@pytest.mark.parametrize(
    ("make", "ending", "least"),
    [
        (Image.fromarray, "png", 0.99),
        (lambda d: Image.fromarray(255 - d), "png", 0.99),
        (lambda d: Image.fromarray(np.pad(d[6:, :22], ((3, 40), (25, 0)))), "png", 0.99),
        (lambda d: enlarged(d, 280), "jpg", 0.95),
        (lambda d: enlarged(d, 15), "png", 0.85),
        (lambda d: Image.fromarray(255 - np.asarray(enlarged(d, 1000))), "jpg", 0.95),
        (on_paper, "jpg", 0.7),  # as good as a pixel up or down
        (see_through, "png", 0.95),
        (turned_and_marked, "jpg", 0.95),
        (lambda d: Image.fromarray(d.astype(np.uint16) * 257), "png", 0.99),
        (lambda d: Image.fromarray(d).convert("1"), "png", 0.9),
        (lambda d: Image.fromarray(d).convert("P"), "gif", 0.95),
        (lambda d: enlarged(d, 420).convert("1"), "png", 0.9),
        (lambda d: enlarged(d, 420).quantize(8), "png", 0.95),
        (lambda d: Image.fromarray(np.asarray(enlarged(d, 420)).astype(np.uint16) * 100), "png", 0.95),
        (unevenly_lit, "png", 0.95),
        (chalk, "png", 0.95),
    ],
)
def test_whatever_the_image_is_like(digit, tmp_path, make, ending, least):
    image = make(digit)
    path = tmp_path / f"digit.{ending}"
    image.save(path, **({"exif": image.info["exif"]} if "exif" in image.info else {}))
    found = read_digit(path)
    assert found.shape == (28, 28)
    assert found.dtype == np.uint8
    assert found.max() == 255
    assert likeness(found, digit) > least


def test_mnists_own_images_stay_as_they_are(tmp_path):
    """Nine in ten come back where they were: its makers' centring and ours agree."""
    same = 0
    for image in load_mnist().test.images[:100]:
        Image.fromarray(image).save(tmp_path / "digit.png")
        same += np.abs(read_digit(tmp_path / "digit.png").astype(int) - image).mean() < 1
    assert same >= 80


def test_a_dot_and_a_line_find_room(tmp_path):
    page = np.zeros((60, 60), np.uint8)
    for name, part in (("dot", np.s_[7, 8]), ("row", np.s_[5, 2:50]), ("column", np.s_[2:50, 58])):
        ink = page.copy()
        ink[part] = 255
        Image.fromarray(ink).save(tmp_path / f"{name}.png")
        found = read_digit(tmp_path / f"{name}.png")
        assert found.max() == 255
        assert np.abs(np.argwhere(found).mean(axis=0) - 14).max() <= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        (b"", "is not an image that can be read: give a PNG or JPEG"),
        (b"GIF? no", "is not an image"),
        ("cut", "cannot be read as an image"),
        ("blank", "shows no digit: no ink stands out from the paper"),
        ("folder", "cannot be read as an image"),
    ],
)
def test_what_is_no_image_of_a_digit(tmp_path, digit, content, words):
    path = tmp_path / "x.png"
    if content == "cut":
        enlarged(digit, 280).save(path)
        path.write_bytes(path.read_bytes()[:200])
    elif content == "blank":
        Image.new("L", (50, 50), 200).save(path)
    elif content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=words):
        read_digit(path)
