"""The site behind CloudFront: README, docs/ and the API's description as HTML, and how it gets there."""
