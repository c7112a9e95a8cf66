#!/bin/sh
# Regenerate the generated files in this folder; a test checks that they are up to date.
set -eu
cd "$(dirname "$0")"
hvobs prometheus dashboard agents >grafana/dashboards/agents.json
hvobs prometheus dashboard pipeline >grafana/dashboards/pipeline.json
hvobs prometheus rules >prometheus/rules.yml
hvobs prometheus config --python agent:9464 --dotnet host.docker.internal:5000 \
    --rules /etc/prometheus/rules.yml --alertmanager alertmanager:9093 >prometheus/prometheus.yml
hvobs prometheus config --python agent-1:9464 --python agent-2:9464 \
    --dotnet host.docker.internal:5000 --rules /etc/prometheus/rules.yml >fleet/prometheus.yml
