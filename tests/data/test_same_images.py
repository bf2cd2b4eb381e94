import pytest

from limner.data.same_images import refuse_other_images
from limner.errors import UserError

STATE = {"num_images": 3, "pixels": "a", "files": "b"}


@pytest.mark.parametrize(
    "change", [{}, {"files": "c"}, {"pixels": None}, {"num_images": 3, "files": "d"}]
)
def test_equal_pixels_are_accepted_or_equal_files_if_one_hash_is_unknown(change):
    refuse_other_images("photos", before=STATE, now=STATE | change)


@pytest.mark.parametrize("change", [{"pixels": "c"}, {"pixels": None, "files": "c"}])
def test_other_images_are_refused(change):
    with pytest.raises(UserError, match="training images of photos differ"):
        refuse_other_images("photos", before=STATE, now=STATE | change)
