"""Vector indexes of DynamoDB: exact, refused as AWS refuses, and late where somebody wants to see that."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from tests.local.aws.conftest import REGION, Aws

OTHER = "eu-west-1"
FUNCTIONS = ("COSINE", "EUCLIDEAN", "DOT_PRODUCT")


def template(name: str, function: str = "EUCLIDEAN", **changed: Any) -> dict[str, Any]:
    index = {
        "IndexName": "nearest",
        "VectorAttribute": {"AttributeName": "v"},
        "Dimensions": 3,
        "DistanceFunction": function,
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["m"]},
        "SearchSchema": [
            {"AttributeName": "h", "SearchSchemaElementType": "HASH"},
            {"AttributeName": "s", "SearchSchemaElementType": "INLINE_FILTER"},
            {"AttributeName": "n", "SearchSchemaElementType": "INLINE_FILTER"},
        ],
    }
    properties = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": each, "AttributeType": "N" if each == "n" else "S"}
            for each in ("pk", "sk", "h", "s", "n")
        ],
        "Replicas": [{"Region": REGION}, {"Region": OTHER}],
        "VectorIndexes": [index | changed],
    }
    return {"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties}}


def numbers(vector: Any) -> list[dict[str, str]]:
    return [{"N": repr(float(number))} for number in vector]


def row(name: str, vector: Any, *, h: str = "a", **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": "p"}, "sk": {"S": name}, "h": {"S": h}, "v": {"L": numbers(vector)}, **attributes}


def search(client: Any, table: str, vector: Any, **changed: Any) -> list[tuple[str, float]]:
    request = {
        "TableName": table,
        "IndexName": "nearest",
        "SearchVector": numbers(vector),
        "SearchConditionExpression": "h = :h",
        "ExpressionAttributeValues": {":h": {"S": "a"}},
        "TopK": 10,
    }
    found = client.search_vectors(**{name: value for name, value in (request | changed).items() if value is not None})
    return [(each["Item"]["sk"]["S"], each["Score"]) for each in found["SearchResults"]]


def set_delays(aws: Aws, *, indexing: float = 0.0, serving: float = 0.0) -> None:
    body = json.dumps({"indexing": indexing, "serving": serving}).encode()
    request = urllib.request.Request(f"{aws.endpoint}/_anfl/vector-delays", data=body, method="PUT")  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - loopback


@pytest.fixture(name="delays")
def _delays(aws: Aws) -> Iterator[None]:
    yield
    set_delays(aws)


@pytest.fixture(scope="module", name="table")
def _table(aws: Aws) -> str:
    aws.create("vectors", template("vectors"))
    return "vectors"


def test_numbers_of_more_digits_than_dynamodb_has_are_refused(aws: Aws, table: str) -> None:
    client = aws.client("dynamodb")
    for digits in ("1" * 38, f"-0.00{'1' * 38}", f"{'1' * 38}000", f"{'1' * 38}e20"):
        client.put_item(TableName=table, Item=row("digits", (1, 0, 0), h="digits", n={"N": digits}))
    for digits in ("1" * 39, f"0.{'1' * 39}", f"{'1' * 39}e20"):
        for item in (row("x", (1, 0, 0), n={"N": digits}), row("x", (1, 0, 0)) | {"v": {"L": [{"N": digits}] * 3}}):
            with pytest.raises(ClientError, match="more than 38 significant digits"):
                client.put_item(TableName=table, Item=item)


def test_a_transaction_has_four_megabytes(aws: Aws, table: str) -> None:
    client = aws.client("dynamodb")

    def put(*sizes: int) -> None:
        rows = [row(f"large-{place}", (1, 0, 0), h="large", m={"B": b"x" * size}) for place, size in enumerate(sizes)]
        client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": each}} for each in rows])

    put(*[380_000] * 11)  # 4,180,000 and some, of 4,194,304
    with pytest.raises(ClientError, match="exceeds 4 MB"):
        put(*[380_000] * 11, 15_000)
    keys = [{"pk": {"S": "p"}, "sk": {"S": f"large-{place}"}} for place in range(11)]
    client.transact_write_items(TransactItems=[{"Delete": {"TableName": table, "Key": key}} for key in keys])
    assert search(client, table, (1, 0, 0), ExpressionAttributeValues={":h": {"S": "large"}}) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_search_is_exact(aws: Aws, function: str) -> None:
    name = f"exact-{function.lower().replace('_', '-')}"
    aws.create(name, template(name, function))
    client = aws.client("dynamodb")
    rows = np.random.default_rng(7).normal(size=(60, 3)).astype(np.float32)
    for number, vector in enumerate(rows):
        client.put_item(TableName=name, Item=row(f"{number:02}", vector))
    query = rows[5] + np.float32(0.1)
    dots = rows.astype(float) @ query.astype(float)
    lengths = np.linalg.norm(rows.astype(float), axis=1) * np.linalg.norm(query.astype(float))
    scores = {
        "COSINE": 1 - dots / lengths,
        "EUCLIDEAN": np.linalg.norm(rows.astype(float) - query.astype(float), axis=1),
        "DOT_PRODUCT": dots,
    }[function]
    best = np.argsort(-scores if function == "DOT_PRODUCT" else scores)[:10]
    found = search(client, name, query)
    assert [int(each) for each, _ in found] == best.tolist()
    assert [score for _, score in found] == pytest.approx(scores[best].tolist(), abs=1e-9)


def test_what_is_written_is_found_in_every_region_until_it_is_gone(aws: Aws, table: str) -> None:
    here, there = aws.client("dynamodb"), aws.client("dynamodb", OTHER)
    here.put_item(TableName=table, Item=row("one", (1, 0, 0), h="life"))
    there.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": row("two", (0, 1, 0), h="life")}}]})
    here.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": row("three", (0, 0, 1), h="life")}}])
    life = {"ExpressionAttributeValues": {":h": {"S": "life"}}}
    for client in (here, there):
        assert {name for name, _ in search(client, table, (1, 0, 0), **life)} == {"one", "two", "three"}
    key = {"pk": {"S": "p"}, "sk": {"S": "one"}}
    values = {":v": {"L": numbers((0, 5, 0))}}
    here.update_item(TableName=table, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues=values)
    here.update_item(
        TableName=table, Key={"pk": {"S": "p"}, "sk": {"S": "two"}}, UpdateExpression="REMOVE h"
    )  # without the partition key it is not indexed, and nobody is told
    there.delete_item(TableName=table, Key={"pk": {"S": "p"}, "sk": {"S": "three"}})
    assert search(there, table, (0, 5, 0), **life) == [("one", 0.0)]


def test_a_cancelled_transaction_is_not_indexed(aws: Aws, table: str) -> None:
    client = aws.client("dynamodb")
    check = {"Key": {"pk": {"S": "p"}, "sk": {"S": "nothing"}}, "ConditionExpression": "attribute_exists(pk)"}
    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": row("never", (1, 1, 1), h="cancelled")}},
                {"ConditionCheck": {"TableName": table, **check}},
            ]
        )
    assert search(client, table, (1, 1, 1), ExpressionAttributeValues={":h": {"S": "cancelled"}}) == []


def test_filters_are_equalities_joined_by_and(aws: Aws, table: str) -> None:
    client = aws.client("dynamodb")
    for number, colour in enumerate(("red", "red", "blue")):
        item = row(f"c{number}", (number, 0, 0), h="filters", s={"S": colour}, n={"N": str(number)})
        client.put_item(TableName=table, Item=item)
    client.put_item(TableName=table, Item=row("bare", (9, 0, 0), h="filters"))

    def found(expression: str, **values: Any) -> list[str]:
        given = {":h": {"S": "filters"}} | {f":{name}": value for name, value in values.items()}
        names = {"#s": "s"} if "#s" in expression else None
        request = {"SearchConditionExpression": expression, "ExpressionAttributeValues": given}
        return [name for name, _ in search(client, table, (0, 0, 0), ExpressionAttributeNames=names, **request)]

    assert found("h = :h") == ["c0", "c1", "c2", "bare"]
    assert found("h = :h AND #s = :s", s={"S": "red"}) == ["c0", "c1"]
    assert found("#s = :s and n = :n AND h=:h", s={"S": "red"}, n={"N": "1.0"}) == ["c1"]
    assert found("h = :h AND n = :n", n={"N": "7"}) == []


def test_results_have_what_the_index_projects(aws: Aws, table: str) -> None:
    client = aws.client("dynamodb")
    item = row("p", (1, 2, 3), h="shown", s={"S": "x"}, m={"S": "kept"}, other={"S": "left out"})
    client.put_item(TableName=table, Item=item)
    request = {
        "TableName": table,
        "IndexName": "nearest",
        "SearchVector": numbers((1, 2, 3)),
        "SearchConditionExpression": "#h = :h",
        "ExpressionAttributeNames": {"#h": "h"},
        "ExpressionAttributeValues": {":h": {"S": "shown"}},
        "TopK": 1,
    }
    (found,) = client.search_vectors(**request, ReturnConsumedCapacity="TOTAL")["SearchResults"]
    assert set(found["Item"]) == {"pk", "sk", "h", "s", "m"}
    names = {"ExpressionAttributeNames": {"#h": "h", "#m": "m"}}
    (found,) = client.search_vectors(**request | names, ProjectionExpression="sk, #m")["SearchResults"]
    assert found["Item"] == {"sk": {"S": "p"}, "m": {"S": "kept"}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"IndexName": "nothing"}, "The table does not have the specified index: nothing"),
        ({"TopK": 101}, "Provided TopK value is out of valid range"),
        ({"SearchVector": numbers((1, 2))}, "has 2 dimensions"),
        ({"SearchVector": [{"S": "1"}] * 3}, "holds numbers only"),
        (
            {"SearchConditionExpression": None, "ExpressionAttributeValues": None},
            "SearchConditionExpression must be provided when SearchSchema has a HASH key",
        ),
        (
            {"SearchConditionExpression": "s = :h"},
            "SearchConditionExpression must be provided when SearchSchema has a HASH key",
        ),
        ({"SearchConditionExpression": "h > :h"}, "Invalid comparator used in SearchConditionExpression"),
        ({"SearchConditionExpression": "h = :h OR h = :h"}, "Invalid comparator used in SearchConditionExpression"),
        ({"SearchConditionExpression": "h = :h AND m = :h"}, "which the search schema has not"),
        ({"SearchConditionExpression": "h = :x"}, "not defined: :x"),
        ({"SearchConditionExpression": "#h = :h"}, "not defined: #h"),
        ({"ExpressionAttributeValues": {":h": {"N": "1"}}}, "does not match schema"),
        ({"ExpressionAttributeValues": {":h": {"S": "a"}, ":x": {"S": "b"}}}, "unused"),
    ],
)
def test_a_search_is_refused_as_aws_refuses_it(aws: Aws, table: str, changed: dict[str, Any], told: str) -> None:
    client = aws.client("dynamodb")
    with pytest.raises(ClientError, match=told) as refused:
        search(client, table, (1, 2, 3), **changed)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_table_that_is_absent_is_not_found(aws: Aws) -> None:
    client = aws.client("dynamodb")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        search(client, "absent", (1, 2, 3))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"v": {"L": numbers((1, 2))}}, "2 dimensions"),
        ({"v": {"S": "1, 2, 3"}}, "Invalid type for vector attribute"),
        ({"v": {"L": [{"S": "1"}, {"N": "2"}, {"N": "3"}]}}, "Invalid type for vector attribute"),
        ({"n": {"S": "one"}}, "Type mismatch for Index Key n"),
    ],
)
def test_an_item_that_cannot_be_indexed_is_not_written(aws: Aws, table: str, wrong: dict[str, Any], told: str) -> None:
    client = aws.client("dynamodb")
    item = row("refused", (1, 2, 3), h="refused") | wrong
    with pytest.raises(ClientError, match=told):
        client.put_item(TableName=table, Item=item)
    key = {"pk": {"S": "p"}, "sk": {"S": "refused"}}
    (name,) = wrong
    for before in ({}, row("refused", (1, 2, 3), h="refused")):
        if before:
            client.put_item(TableName=table, Item=before)
        with pytest.raises(ClientError, match=told):
            client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET #w = :w",
                ExpressionAttributeNames={"#w": name},
                ExpressionAttributeValues={":w": wrong[name]},
            )
        assert client.get_item(TableName=table, Key=key).get("Item", {}) == before
    client.delete_item(TableName=table, Key=key)


@pytest.mark.parametrize(
    "changed",
    [
        {"Dimensions": 4_097},
        {"SearchSchema": [{"AttributeName": "undeclared", "SearchSchemaElementType": "HASH"}]},
        {"SearchSchema": [{"AttributeName": each, "SearchSchemaElementType": "HASH"} for each in ("h", "s")]},
    ],
)
def test_an_index_that_cannot_be_is_refused(aws: Aws, changed: dict[str, Any]) -> None:
    name = f"impossible-{len(changed.get('SearchSchema', ()))}"
    aws.create(name, template(name, **changed))
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert name not in aws.client("dynamodb").list_tables()["TableNames"]


@pytest.mark.usefixtures("delays")
def test_a_table_is_as_warm_as_its_template_asks(aws: Aws) -> None:
    resources = template("warm")
    resources["Table"]["Properties"]["WarmThroughput"] = {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000}
    aws.create("warm", resources)
    for region in (REGION, OTHER):
        warm = aws.client("dynamodb", region).describe_table(TableName="warm")["Table"]["WarmThroughput"]
        assert (warm["ReadUnitsPerSecond"], warm["WriteUnitsPerSecond"]) == (13_000, 5_000)


def test_an_index_is_late_if_asked_to_be(aws: Aws) -> None:
    client = aws.client("dynamodb")
    set_delays(aws, serving=60)
    aws.create("late", template("late"))
    status = client.describe_table(TableName="late")["Table"]["VectorIndexes"][0]["IndexStatus"]
    assert status == "ACTIVE"
    with pytest.raises(ClientError, match="does not have the specified index"):
        search(client, "late", (1, 2, 3))
    set_delays(aws, indexing=60)
    client.put_item(TableName="late", Item=row("one", (1, 2, 3)))
    assert search(client, "late", (1, 2, 3)) == []
    set_delays(aws)
    assert [name for name, _ in search(client, "late", (1, 2, 3))] == ["one"]
