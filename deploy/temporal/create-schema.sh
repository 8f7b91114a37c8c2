#!/bin/sh
# Makes or updates the two databases of the Temporal server. It may be run again at any time: what is there already is left alone, so
# that a newer server's image brings its schema changes along. The database's address and user come from SQL_PLUGIN, SQL_HOST, SQL_PORT,
# SQL_USER and SQL_PASSWORD, which the tool reads by itself.
set -eu

for name in temporal visibility; do
  database=temporal
  [ "$name" = temporal ] || database=temporal_visibility
  temporal-sql-tool --database "$database" create-database
  temporal-sql-tool --database "$database" setup-schema --version 0.0
  temporal-sql-tool --database "$database" update-schema --schema-name "postgresql/v12/$name"
done
