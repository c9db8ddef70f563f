"""The router finds what the table of routes says, as fast as there are segments."""

import pytest

from anfl.auth.rbac import ROUTES
from anfl.http.routing import Router


def test_it_agrees_with_the_table_of_routes_on_every_route() -> None:
    router = Router({(route.method, route.path): route for route in ROUTES})
    for route in ROUTES:
        path = route.path.replace("{path+}", "a/b c").replace("{name}", "a b").replace("{version}", "7")
        served, parameters = router.find(path)
        assert served[route.method] is route
        assert parameters == route.parameters(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "/v1",
        "/v1/collections/",
        "/v1/collections//query",
        "/v1/collections/a/b/c",
        "v1/collections",
        "*v1/collections",
    ],
)
def test_what_is_no_route_is_found_nowhere(path: str) -> None:
    router = Router({(route.method, route.path): route for route in ROUTES})
    assert router.find(path)[0] == {}


def test_a_fixed_segment_wins_over_a_parameter_and_the_rest_takes_what_is_left() -> None:
    router = Router({("GET", "/a/{x}"): 1, ("GET", "/a/fixed"): 2, ("GET", "/f/{p+}"): 3, ("GET", "/f"): 4})
    assert router.find("/a/fixed") == ({"GET": 2}, {})
    assert router.find("/a/other") == ({"GET": 1}, {"x": "other"})
    assert router.find("/f/x/y/") == ({"GET": 3}, {"p": "x/y/"})
    assert router.find("/f") == ({"GET": 4}, {})
    assert router.find("/f/")[0] == {}


def test_one_place_has_one_name() -> None:
    with pytest.raises(ValueError, match="named x elsewhere"):
        Router({("GET", "/a/{x}"): 1, ("PUT", "/a/{y}"): 2})
