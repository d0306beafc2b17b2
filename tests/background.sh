# Sourced by scripts that need servers in the background: a folder `work` for their files, `start`, and an end for all.
work=$(mktemp -d)
started=()
finish() {
  local code=$?
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
  exit $code
}
trap finish EXIT

# start NAME TEXT COMMAND...: runs it in the background; `found` is the first URL that follows TEXT in its output.
start() {
  local log=$work/$1.log text=$2
  : >"$log"
  "${@:3}" >"$log" 2>&1 &
  local pid=$!
  started+=("$pid")
  until found=$(grep -oE "$text +http://[^ /]+" "$log" | grep -oE 'http://.*'); do
    if ! kill -0 "$pid" 2>/dev/null; then
      echo "$1 did not start:" >&2
      cat "$log" >&2
      exit 1
    fi
    sleep 0.05
  done
}
