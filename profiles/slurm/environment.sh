# Before every job: Slurm hands it the controller's PATH, whose `python` is the environment's. Snakemake's job step calls
# that by its path and quotes it not: where a shell would take the path apart, it is called through a link.
python=$(command -v python)
case $python in
  *[!A-Za-z0-9/._+-]*)
    lamarck_link=$(mktemp -d /tmp/lamarck-job-XXXXXXXX)
    trap 'rm -r "$lamarck_link"' EXIT
    ln -s "${python%/bin/python}" "$lamarck_link/venv"
    PATH=$lamarck_link/venv/bin:$PATH
    ;;
esac
