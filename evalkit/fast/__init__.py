"""The fast gate: candidates asked in planned looks, until every domain is decided."""
