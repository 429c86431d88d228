#!/usr/bin/env bash
# Put the report of check.sh under the pull or merge request of this job: as one comment, which later runs change. Where
# that cannot be done (no token, a fork's token that may only read, not a pull request) it says so and ends with 0: the
# verdict is the exit code of check.sh, and the report stands in the job's summary or artifacts.
#
# GitHub, Gitea and Forgejo: GITHUB_API_URL, GITHUB_REPOSITORY, CHECK_PULL_REQUEST, CHECK_COMMENT_TOKEN.
# GitLab: CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID, CHECK_COMMENT_TOKEN (a project's access token with the
# scope api; GitLab's own CI_JOB_TOKEN may not comment).
set -euo pipefail
{ set +x; } 2>/dev/null # the token must not show where the job is debugged

report=${CHECK_REPORT:-freehold-check.md}
python=${CHECK_PYTHON:-python3}
token=${CHECK_COMMENT_TOKEN-}
unset CHECK_COMMENT_TOKEN

without() {
  printf 'not commented: %s\n' "$1"
  exit 0
}

if [ "${GITLAB_CI-}" = true ]; then
  forge=gitlab number=${CI_MERGE_REQUEST_IID-} api=${CI_API_V4_URL-} place=projects/${CI_PROJECT_ID-}
else
  forge=github number=${CHECK_PULL_REQUEST-} api=${GITHUB_API_URL-} place=repos/${GITHUB_REPOSITORY-}
fi
[ -n "$number" ] || without 'this job is not of a pull or merge request'
[ -n "$token" ] || without 'the job has no token that may comment'
[ -f "$report" ] && [ -s "$report" ] || without "$report: there is no report"
[[ $number =~ ^[0-9]{1,12}$ ]] || without 'the number of the pull request is not a number'
[[ $token =~ ^[A-Za-z0-9._~+/=-]+$ ]] || without 'the token has characters that no token has'
[[ $api =~ ^https?://[^[:space:]\"\\]+$ ]] || without 'the address of the API is not known'
[[ $place =~ ^(repos/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+|projects/[0-9]+)$ ]] || without 'the repository is not known'
command -v curl >/dev/null || without 'curl is not installed'
mark=$(head -n 1 "$report")
[[ $mark =~ ^'<!-- freehold-check: '[A-Za-z0-9\ ._-]+' -->'$ ]] || without "$report does not begin with the mark of check.sh"

work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/freehold-comment.XXXXXX")
trap 'rm -rf "$work"' EXIT
status=000

# The token goes in by curl's standard input, so that it is neither in the list of processes nor in a file. Redirects
# are not followed: it is for this host only.
ask() { # METHOD URL [FILE with JSON]
  local more=(--retry 2)
  [ $# -lt 3 ] || more=(--data-binary "@$3" --header 'Content-Type: application/json')
  status=$(
    printf 'header = "Authorization: Bearer %s"\n' "$token" |
      curl --config - --silent --max-time 20 --output "$work/answer" --write-out '%{http_code}' \
        --header 'Accept: application/json' --header 'User-Agent: freehold-check' \
        "${more[@]}" --request "$1" -- "$2"
  ) || status=000
}

json() { # a program of Python over the answer; nothing of the working folder is imported
  "$python" -I -c "$1" "$work/answer" "${@:2}"
}

# Only a comment of the token's own user is changed: others may have written, or copied, the mark.
ask GET "$api/user"
if [ "$status" = 200 ]; then
  authors=$(json 'import json, sys
found = json.load(open(sys.argv[1], encoding="utf-8"))
print(found.get("login") or found.get("username") or "")') || authors=''
else # the token of a workflow has no user that may be asked for
  authors='github-actions[bot] gitea-actions forgejo-actions'
fi

if [ "$forge" = gitlab ]; then comments=$place/merge_requests/$number/notes; else comments=$place/issues/$number/comments; fi
id='' page=1
while [ -z "$id" ] && [ "$page" -le 30 ]; do
  ask GET "$api/$comments?per_page=100&limit=100&page=$page"
  [ "$status" = 200 ] || without "the comments could not be read (HTTP $status)"
  found=$(json 'import json, sys
mark, authors = sys.argv[2], sys.argv[3].split()
comments = json.load(open(sys.argv[1], encoding="utf-8"))
for one in comments:
    user = one.get("user") or one.get("author") or {}
    name = user.get("login") or user.get("username")
    if name in authors and str(one.get("body") or "").splitlines()[:1] == [mark]:
        print(int(one["id"]))
        break
else:
    print("more" if len(comments) == 100 else "end")' "$mark" "$authors") || without 'the comments could not be understood'
  case $found in
    more) page=$((page + 1)) ;;
    end) break ;;
    *) id=$found ;;
  esac
done

"$python" -I -c 'import json, sys
text = open(sys.argv[1], encoding="utf-8", errors="replace").read()
json.dump({"body": text}, open(sys.argv[2], "w", encoding="utf-8"))' "$report" "$work/body.json"
if [ -z "$id" ]; then
  ask POST "$api/$comments" "$work/body.json"
elif [ "$forge" = gitlab ]; then
  ask PUT "$api/$comments/$id" "$work/body.json"
else
  ask PATCH "$api/$place/issues/comments/$id" "$work/body.json"
fi
case $status in
  200 | 201) printf 'commented\n' ;;
  401 | 403 | 404) without "the token may not comment here (HTTP $status), as that of a fork" ;;
  *) without "the comment could not be written (HTTP $status)" ;;
esac
