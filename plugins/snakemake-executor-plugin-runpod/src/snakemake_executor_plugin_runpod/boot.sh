# What a pod runs instead of its image's own command. First of all the guard, which ends the pod when its time is over or
# its controller has been silent for too long: it needs nothing of what comes after it. Then the image's services, sshd
# among them; then its host key is said in the container's log, which only the account's owner can read. A container that
# stops is started again by the platform, so this script never ends by itself.
end_pod() {
  echo "time is over: ending this pod"
  while true; do
    # Every way that the API has, in turn: another version of it may know one of them no more. The last one keeps the
    # disk, and ends what costs most. The platform gives each pod a key for itself. Not as an argument: arguments show in
    # the list of processes.
    ask --request DELETE "$RUN_API_URL/v2/pods/$RUNPOD_POD_ID"
    act terminate
    command -v runpodctl >/dev/null && runpodctl remove pod "$RUNPOD_POD_ID"
    act stop
    sleep 5
  done
}

# Not curl's --json, which images of Ubuntu 22.04 do not know.
act() {
  ask --header 'Content-Type: application/json' --data "{\"action\": \"$1\"}" \
    "$RUN_API_URL/v2/pods/$RUNPOD_POD_ID/action"
}

ask() {
  printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY" \
    | curl --silent --fail --max-time 30 --config - "$@" && sleep 5
}

guard() {
  # The clock of this machine may be wrong, so the seconds count as well.
  end=$(($(date +%s) + RUN_SECONDS))
  [ "$end" -lt "$RUN_DEADLINE" ] || end=$RUN_DEADLINE
  touch /tmp/lease
  while [ "$(date +%s)" -lt "$end" ] \
    && [ "$(($(date +%s) - $(stat -c %Y /tmp/lease)))" -lt "$RUN_LEASE_SECONDS" ]; do
    sleep 1
  done
  end_pod
}

guard &
guarding=$!
/start.sh &
{
  until [ -s /etc/ssh/ssh_host_ed25519_key.pub ]; do sleep 0.2; done
  echo "host-key $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)"
} &
# A job may have killed the guard.
wait "$guarding"
end_pod
