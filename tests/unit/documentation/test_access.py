"""What the documentation says of access is what is decided."""

from anfl.auth.principal import Role
from anfl.auth.rbac import GRANTS, ROUTES
from documentation.access import PAGE, page


def test_the_page_is_that_of_the_present_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_route_stands_there_with_its_roles() -> None:
    told: dict[tuple[str, str], str] = {}
    for line in page().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4:
            told |= {(method, cells[1].strip("`")): cells[3] for method in cells[0].split(", ")}
    for route in ROUTES:
        roles = told[route.method, route.path]
        granted = {role for role in Role if route.action in GRANTS[role]}
        assert (set(Role) if roles == "all" else set(roles.split(", "))) == granted
