#!/bin/sh
# Waits until the server at TEMPORAL_ADDRESS answers, and makes the namespace TEMPORAL_NAMESPACE unless it is there already. RETENTION says
# how long the histories of closed runs are kept; what a run did can be read only as long.
set -eu

attempts=0
until temporal operator cluster health; do
  attempts=$((attempts + 1))
  # A server's first start takes some seconds; after two minutes something is wrong with it.
  [ "$attempts" -lt 60 ] || exit 1
  sleep 2
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  echo "The namespace $TEMPORAL_NAMESPACE is there already."
else
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "${RETENTION:-30d}"
fi
