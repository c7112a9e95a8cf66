#!/bin/sh
# Build the site of the documentation, and look at what came out.
#
# Usage: build-docs.sh ENVIRONMENT SITE
# mkdocs.yml makes every warning an error: a page that nav lacks, a link or an anchor that leads
# nowhere, a name that the API's pages ask for in vain.
set -eu

environment=$1
site=$2
cd "$(dirname "$0")/.."

# The theme's own notice about its successor is none of ours.
NO_MKDOCS_2_WARNING=1 "$environment/bin/mkdocs" build --quiet --site-dir "$site"

# Markdown that was meant as a block, and is shown as it was typed.
if grep -rn --include='*.html' -e '<p>```' -e '<p>:::' "$site"; then
    echo "These blocks were not understood." >&2
    exit 1
fi
# A reader without a network sees the same page, and nobody learns who reads it.
if grep -rnoE --include='*.html' '(src="(https?:)?//|<link[^>]+(stylesheet|preconnect|preload)[^>]+//)[^"]*' "$site"; then
    echo "These are loaded from elsewhere." >&2
    exit 1
fi
"$environment/bin/python" scripts/check_api_pages.py "$site"
echo "The site is in $site: $(find "$site" -name '*.html' | wc -l) pages."
