from limner.files.natural_order import natural_key


def test_natural_key_sorts_numbers_within_names_as_numbers():
    names = ["a10", "a2", "a1", "b", "10", "9", "a2b10", "a2b9", "a", "x_02", "x_1", "x_10"]
    assert sorted(names, key=natural_key) == [
        "9", "10", "a", "a1", "a2", "a2b9", "a2b10", "a10", "b", "x_1", "x_02", "x_10",
    ]  # fmt: skip


def test_natural_key_accepts_numbers_of_any_length():
    names = ["1" * 9999, "2" + "0" * 9999, ""]
    assert sorted(names, key=natural_key) == ["", "1" * 9999, "2" + "0" * 9999]


def test_natural_key_tells_equal_numbers_with_other_zeros_apart():
    assert len({str(natural_key(name)) for name in ("1", "01", "001")}) == 3
