import pytest

from limner.commands.view_files import views_of

NAMES = ["a/v10.png", "a/v2.png", "a/v1.png", "b/left.png", "b/right.png", "c.png"]


def test_pictures_of_a_folder_are_the_views_of_its_middle_picture():
    assert views_of(NAMES, "folder", num_views=3) == {
        "a/v2.png": ["a/v1.png", "a/v2.png", "a/v10.png"],
        "b/left.png": ["b/left.png", "b/right.png"],
        "c.png": ["c.png"],
    }


def test_frames_are_read_with_as_many_neighbours_as_in_training():
    found = views_of(NAMES[:3], "frames", num_views=3)
    assert found == {
        "a/v1.png": ["a/v1.png", "a/v1.png", "a/v2.png"],
        "a/v2.png": ["a/v1.png", "a/v2.png", "a/v10.png"],
        "a/v10.png": ["a/v2.png", "a/v10.png", "a/v10.png"],
    }


@pytest.mark.parametrize("num_views", [1, 3])
def test_single_pictures_are_read_alone(num_views):
    assert views_of(NAMES, "single", num_views=num_views) == {name: [name] for name in NAMES}
