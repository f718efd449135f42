#!/usr/bin/env bash
# Plants one fault after the other into a copy of the sources and looks whether the tests notice: run by hand, as it builds the
# tests anew for each fault (half a minute to a minute on two cores). The faults are those of tests/planted-faults.txt.
#
# A fault is caught if the copy with it builds, and a test then fails, crashes or does not end. It survives if all pass; a copy that does
# not build says nothing about the tests, and counts as survived. Before the first fault the same tests must pass without one. Debug
# assertions of the library are off, so that what notices is a test and not the code that is being broken.
#
# Usage: tests/planted-faults.sh [TEXT...]     only the faults with one of these in their name
# PLANTED_FAULTS_TARGET_DIR keeps what is built between runs; without it everything is built in a temporary folder.
# PLANTED_FAULTS_TIMEOUT is how many seconds the tests may take before they count as not ending, 180 by default.
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CARGO_TARGET_DIR=${PLANTED_FAULTS_TARGET_DIR:-$folder/target}
export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false
only=("${@:-}")

# The files as they are, committed or not, without what is built.
copy=$folder/copy
mkdir "$copy"
(cd "$checkout" && tar -c --exclude=./target --exclude=./.git --exclude=./fuzz/target .) | tar -x -C "$copy"
cd "$copy"
# What an earlier run has built, of another fault, is no newer than these.
find . -name '*.rs' -exec touch {} +
# The library without debug information, which compiles and links faster; its dependencies as ever, so that they are found built.
args=(--features durable --quiet --config profile.dev.package.dormouse.debug=false)

# look WORDS...: runs these tests; prints which fails first, or nothing if all pass.
look() {
    local said=$folder/said status=0
    timeout "${PLANTED_FAULTS_TIMEOUT:-180}" cargo test "${args[@]}" "$@" >"$said" 2>&1 || status=$?
    ((status != 0)) || return 0
    local first
    first=$(sed -n 's/^    \([a-z_0-9]*\(::[a-z_0-9]*\)*\)$/\1/p' "$said" | head -n 1)
    local count
    count=$(sed -n 's/^    \([a-z_0-9]*\(::[a-z_0-9]*\)*\)$/\1/p' "$said" | sort -u | wc -l)
    if ((status == 124)); then
        first=$(sed -n 's/.*test \([^ ]*\) has been running for over.*/\1/p' "$said" | head -n 1)
        echo "${first:-a test}, which does not end"
    elif [[ -n $first ]]; then
        if ((count > 1)); then echo "$first and $((count - 1)) more"; else echo "$first"; fi
    else
        echo "the tests' process dies: $(tail -n 1 "$said" | cut -c 1-100)"
    fi
}

names=() files=() finds=() withs=() runs=()
while IFS= read -r line; do
    case $line in
        'fault '*) names+=("${line#fault }") ;;
        'file '*) files+=("${line#file }") ;;
        'find '*) finds+=("${line#find }") ;;
        'with '*) withs+=("${line#with }") ;;
        'run '*) runs+=("${line#run }") ;;
    esac
done <tests/planted-faults.txt
total=${#names[@]}
if ((total != ${#files[@]} || total != ${#finds[@]} || total != ${#withs[@]} || total != ${#runs[@]})); then
    echo 'tests/planted-faults.txt: each fault has one line each of fault, file, find, with, run' >&2
    exit 2
fi

echo 'building without a fault' >&2
cargo test "${args[@]}" --lib --test it --no-run
chosen=() tried=
for ((at = 0; at < total; at++)); do
    is_meant=false
    for text in "${only[@]}"; do
        if [[ ${names[at]} == *"$text"* ]]; then is_meant=true; fi
    done
    $is_meant || continue
    chosen+=("$at")
    if [[ $'\n'$tried != *$'\n'"${runs[at]}"$'\n'* ]]; then
        tried+=${runs[at]}$'\n'
        # shellcheck disable=SC2086
        found=$(look ${runs[at]})
        if [[ -n $found ]]; then
            echo "without a fault: cargo test ${runs[at]}: $found" >&2
            exit 2
        fi
    fi
done

caught=0
for at in "${chosen[@]}"; do
    file=${files[at]} find=${finds[at]}
    text=$(cat "$file" && echo .) && text=${text%.}
    rest=${text//"$find"/}
    if ((${#text} - ${#rest} != ${#find})); then
        echo "${names[at]}: \`$find\` does not stand exactly once in $file" >&2
        exit 2
    fi
    printf '%s' "${text%%"$find"*}${withs[at]}${text#*"$find"}" >"$file"
    word=${runs[at]%% *}
    kind=(--lib) && [[ $word == --lib ]] || kind=(--test it)
    if ! cargo test "${args[@]}" "${kind[@]}" --no-run >"$folder/built" 2>&1; then
        printf '! %-70s does not build: %s\n' "${names[at]}" "$(grep -m 1 '^error' "$folder/built")"
    else
        # shellcheck disable=SC2086
        found=$(look ${runs[at]})
        if [[ -n $found ]]; then
            caught=$((caught + 1))
            printf '  %-70s %s\n' "${names[at]}" "$found"
        else
            printf '! %-70s survives\n' "${names[at]}"
        fi
    fi
    printf '%s' "$text" >"$file"
done

printf '\n%d of %d caught\n' "$caught" "${#chosen[@]}"
((caught == ${#chosen[@]}))
