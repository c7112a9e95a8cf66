#!/bin/sh
# Build Jaeger from its Go module, unless it is there already.
#
# Usage: build-jaeger.sh PROGRAM
# Needs Go 1.24 or later. Takes about 4 minutes on two cores, and 2 GiB of disk for Go's caches.
# The program is Jaeger 2 (its 2.13.0); its user interface is a placeholder, its API is real.
set -eu

program=$1
version=v1.76.0
cd "$(dirname "$0")/.."
[ ! -x "$program" ] || exit 0

mkdir -p "$(dirname "$program")" .cache/jaeger
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
cd .cache/jaeger
# Its go.mod has replacements, with which `go install` refuses it; a tool of a module may have them.
[ -f go.mod ] || go mod init jaeger-build
go get -tool "github.com/jaegertracing/jaeger/cmd/jaeger@$version"
go build -o "$program" github.com/jaegertracing/jaeger/cmd/jaeger
