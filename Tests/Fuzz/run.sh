#!/bin/sh
# Fuzzes one target under address sanitizer.
#
#     Tests/Fuzz/run.sh NAME SECONDS [libFuzzer options]
#
# A target is a folder beside this script: its *.swift files are compiled as one module with the sources of the Swift module
# that `sources` in the folder names (one path from the repository's root a line; the default is Sources/Records). `corpus`
# holds the inputs to start from; every finding is kept there and so becomes a regression test. What a run learns beside
# goes to .build/fuzz and is used by the next run.
set -eu
[ $# -ge 2 ] || { sed -n '4s/^# *//p' "$0" >&2; exit 64; }
name=$1
seconds=$2
shift 2
root=$(cd "$(dirname "$0")/../.." && pwd)
target=$root/Tests/Fuzz/$name
[ -d "$target" ] || { echo "no fuzz target $name in Tests/Fuzz" >&2; exit 64; }
work=$root/.build/fuzz/$name
mkdir -p "$work/corpus"

sources=Sources/Records
flags=
[ -f "$target/sources" ] && sources=$(cat "$target/sources")
[ -f "$target/flags" ] && flags=$(cat "$target/flags")
cd "$root"
# shellcheck disable=SC2046,SC2086
swiftc -swift-version 6 -O -g -parse-as-library -whole-module-optimization -sanitize=fuzzer,address \
  -module-name "Fuzz$name" -emit-executable -o "$work/fuzz" $flags $(find $sources "$target" -name '*.swift')

status=0
"$work/fuzz" -max_total_time="$seconds" -max_len=40000 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
  -artifact_prefix="$target/corpus/finding-" "$@" "$work/corpus" "$target/corpus" || status=$?
if [ "$status" -ne 0 ]; then
  echo "a finding was kept in Tests/Fuzz/$name/corpus: mend it and commit it, a test replays the corpus" >&2
fi
exit "$status"
