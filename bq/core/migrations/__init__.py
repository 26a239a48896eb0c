"""One script a schema, run in their order by `bq.core.migrate`. A script is never changed once it was released."""
