#!/usr/bin/env bash
# A check of a pull or merge request: freehold scan, evaluate and compare, whichever are asked for by CHECK_*,
# and one Markdown file with what they found. It sends nothing anywhere; comment.sh does.
#
# Exit code: that of the worst answer. 0 promote, 1 reject or a rented model that is shut down, 3 hold (not proven;
# 0 with CHECK_HOLD=pass), 2 it could not be done. Runs in bash 3.2 (macOS) and later.
set -euo pipefail
# (The variables do not begin with FREEHOLD_: freehold refuses settings that it does not know.)
# Every input is passed as one word behind "=", or behind "--": none is read as an option or as code.

scan=${CHECK_SCAN-}
a=${CHECK_A-}
b=${CHECK_B-}
gold=${CHECK_GOLD-}
endpoint=${CHECK_ENDPOINT-}
model=${CHECK_MODEL-}
api_key_env=${CHECK_API_KEY_ENV-}
task=${CHECK_TASK-}
options=${CHECK_OPTIONS-}
config=${CHECK_CONFIG-}
pairs=${CHECK_PAIRS-}
margin=${CHECK_MARGIN-}
planned_looks=${CHECK_PLANNED_LOOKS:-1}
fail_within=${CHECK_FAIL_WITHIN:-30}
hold=${CHECK_HOLD:-fail}
name=${CHECK_NAME:-freehold}
report=${CHECK_REPORT:-freehold-check.md}
freehold=${CHECK_PROGRAM:-freehold}

refuse() {
  printf 'error: %s\n' "$1" >&2
  [ -z "${GITHUB_OUTPUT-}" ] || printf 'exit-code=2\nverdict=error\n' >>"$GITHUB_OUTPUT"
  exit 2
}

# What fails unforeseen could not be done, and is not a reject.
set -E
trap 'refuse "a step of the check failed, as the lines above say"' ERR
# A report that the repository brings is not this check's: it is gone whatever ends the check, and a link not followed.
rm -f -- "$report"

matches() { # NAME VALUE PATTERN EXPECTED
  [[ $2 =~ $3 ]] || refuse "$1: expected $4"
}

one_line='^[^[:cntrl:]]*$'
for pair in "a=$a" "b=$b" "gold=$gold" "endpoint=$endpoint" "model=$model" "task=$task" "config=$config" \
  "pairs=$pairs" "report=$report"; do
  matches "${pair%%=*}" "${pair#*=}" "$one_line" 'one line of text'
done
matches name "$name" '^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$' 'up to 64 letters, digits, spaces, dots, hyphens'
matches margin "$margin" '^([0-9]+(\.[0-9]+)?)?$' 'a number such as 0.02'
matches fail-within "$fail_within" '^[0-9]{1,5}$' 'a number of days'
matches planned-looks "$planned_looks" '^[1-9][0-9]{0,3}$' 'a number from 1'
matches api-key-env "$api_key_env" '^([A-Za-z_][A-Za-z0-9_]*)?$' 'the name of an environment variable, never a key'
matches hold "$hold" '^(fail|pass)$' 'fail or pass'
[ -n "$a" ] && [ -z "$b" ] && refuse 'a is given without b: expected both files of outputs'
[ -n "$b" ] && [ -z "$a" ] && refuse 'b is given without a: expected both files of outputs'
[ -n "$a" ] && [ -n "$endpoint" ] && refuse 'two files and an endpoint: expected one of them'
[ -n "$endpoint" ] && [ -z "$model" ] && refuse 'endpoint is given without model'
[ -n "$pairs" ] && [ -z "$margin" ] && refuse 'pairs is given without margin: the largest drop that is accepted'
[ -n "$scan$a$endpoint$pairs" ] || refuse 'nothing to check: expected scan, a and b, endpoint, or pairs'

work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/freehold-check.XXXXXX")
trap 'rm -rf "$work"' EXIT
worst=0
verdict=none

rank() { # of an exit code, by how much it matters
  case $1 in 0) echo 0 ;; 3) echo 1 ;; 1) echo 2 ;; *) echo 3 ;; esac
}

# What freehold prints holds names from the repository. A runner of GitHub reads lines that begin with :: as commands,
# so it is told not to, by a word that cannot be guessed.
quietly() {
  local word='' code=0
  if [ "${GITHUB_ACTIONS-}" = true ]; then
    word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '::stop-commands::%s\n' "$word"
  fi
  "$@" 2>&1 || code=$?
  [ -z "$word" ] || printf '\n::%s::\n' "$word"
  return "$code"
}

run() { # TITLE, then the command's arguments; what it says in Markdown is put behind what was said before
  local title=$1 code=0 said=$work/said.md
  shift
  rm -f "$said"
  printf '%s\n' "freehold $title"
  quietly "$freehold" "$1" "--markdown=$said" "${@:2}" || code=$?
  case $code in
    0 | 1 | 3) ;;
    *) code=2 ;;
  esac
  if [ -s "$said" ] && [ "$code" != 2 ]; then
    cat "$said" >>"$work/all.md"
  else
    code=2 # without a result nothing was checked, whatever the exit code says
    printf '### ✕ freehold %s could not be done\n\nThe log of this job says why.\n' "$title" >>"$work/all.md"
  fi
  printf '\n' >>"$work/all.md"
  if [ "$title" != scan ]; then
    local found
    case $code in 0) found=promote ;; 1) found=reject ;; 3) found=hold ;; *) found=error ;; esac
    if [ "$verdict" = none ] || [ "$(rank "$code")" -gt "$(rank "$verdict_code")" ]; then
      verdict=$found verdict_code=$code
    fi
  fi
  if [ "$code" = 3 ] && [ "$hold" = pass ]; then code=0; fi
  if [ "$(rank "$code")" -gt "$(rank "$worst")" ]; then worst=$code; fi
}

verdict_code=0
if [ -n "$scan" ]; then
  paths=()
  while IFS= read -r path; do
    [ -z "${path//[[:space:]]/}" ] || paths+=("$path")
  done <<<"$scan"
  [ ${#paths[@]} -gt 0 ] || refuse 'scan: expected files and folders, one a line'
  run scan scan "--fail-within=$fail_within" -- "${paths[@]}"
fi
if [ -n "$a$endpoint" ]; then
  arguments=("--planned-looks=$planned_looks")
  if [ -n "$a" ]; then arguments+=("--a=$a" "--b=$b"); else arguments+=("--endpoint=$endpoint" "--model=$model"); fi
  [ -z "$gold" ] || arguments+=("--gold=$gold")
  [ -z "$task" ] || arguments+=("--task=$task")
  [ -z "$margin" ] || arguments+=("--margin=$margin")
  [ -z "$config" ] || arguments+=("--config=$config")
  [ -z "$api_key_env" ] || arguments+=("--api-key-env=$api_key_env")
  while IFS= read -r option; do
    [ -z "${option//[[:space:]]/}" ] || arguments+=("--option=$option")
  done <<<"$options"
  run evaluate evaluate "${arguments[@]}"
fi
if [ -n "$pairs" ]; then
  run compare compare "--pairs=$pairs" "--margin=$margin" "--looks=$planned_looks"
fi

# The mark by which comment.sh finds the comment again is the first line.
most=60000 # bytes; GitHub takes 65,536 characters
rm -f -- "$report" # again: what was checked may have made it
{
  printf '<!-- freehold-check: %s -->\n' "$name"
  if [ "$(wc -c <"$work/all.md")" -le "$most" ]; then
    cat "$work/all.md"
  else
    head -c "$most" "$work/all.md" | sed '$d'
    printf '\nMore than a comment holds: the rest stands in the log of this job.\n'
  fi
} >"$report"
if [ -n "${GITHUB_STEP_SUMMARY-}" ]; then cat "$report" >>"$GITHUB_STEP_SUMMARY"; fi
if [ -n "${GITHUB_OUTPUT-}" ]; then
  printf 'exit-code=%s\nverdict=%s\nreport=%s\n' "$worst" "$verdict" "$report" >>"$GITHUB_OUTPUT"
fi
exit "$worst"
