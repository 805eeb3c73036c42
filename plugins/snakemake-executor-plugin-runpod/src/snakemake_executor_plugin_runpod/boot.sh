# What a pod runs instead of its image's own command. The image's services first, sshd among them; then its host key is
# said in the container's log, which only the account's owner can read; then the pod is ended when its time is over or
# its controller has been silent for too long. A container that stops is started again by the platform, so this script
# never ends by itself: it asks for its own deletion until that has happened.
/start.sh &
until [ -s /etc/ssh/ssh_host_ed25519_key.pub ]; do sleep 0.2; done
echo "host-key $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)"

touch /tmp/lease
while [ "$(date +%s)" -lt "$RUN_DEADLINE" ] \
  && [ "$(($(date +%s) - $(stat -c %Y /tmp/lease)))" -lt "$RUN_LEASE_SECONDS" ]; do
  sleep 1
done

echo "time is over: ending this pod"
while true; do
  # The platform gives each pod a key for itself. Not as an argument: arguments show in the list of processes.
  printf 'header = "Authorization: Bearer %s"\n' "$RUNPOD_API_KEY" \
    | curl --silent --max-time 30 --config - --request DELETE "$RUN_API_URL/v2/pods/$RUNPOD_POD_ID"
  command -v runpodctl >/dev/null && runpodctl remove pod "$RUNPOD_POD_ID"
  sleep 5
done
