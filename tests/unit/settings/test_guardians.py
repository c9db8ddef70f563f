"""Which region recovers which."""

from stacks.settings import load


def test_every_region_of_prod_has_one_guardian_and_one_ward_and_neither_is_itself() -> None:
    settings = load("prod")
    guardians = {region: settings.guardian(region) for region in settings.regions}
    assert set(guardians.values()) == set(settings.regions)
    for region, guardian in guardians.items():
        assert guardian not in {None, region}
        assert guardian is not None
        assert settings.ward(guardian) is region


def test_a_region_alone_has_none() -> None:
    settings = load("dev")
    (region,) = settings.regions
    assert settings.guardian(region) is None
    assert settings.ward(region) is None
