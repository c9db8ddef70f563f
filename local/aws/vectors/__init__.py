"""DynamoDB's vector indexes, which moto lacks: exact, and as late as AWS may be.

After the Developer Guide ("Vector search", "SearchConditionExpression reference for vector indexes", "Troubleshooting
vector indexes") and the API reference of ``SearchVectors``.
"""
