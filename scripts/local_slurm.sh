#!/usr/bin/env bash
# A SLURM of two nodes on this machine, to try what clusters do: start | stop | status.
#
# It needs root and Debian's packages: apt-get install slurm-wlm munge. All that it writes is in
# one folder, LIMNER_SLURM or /tmp/limner_slurm. To use it from a shell:
#   export SLURM_CONF=/tmp/limner_slurm/slurm.conf
set -euo pipefail
folder=${LIMNER_SLURM:-/tmp/limner_slurm}
export SLURM_CONF=$folder/slurm.conf PATH=$PATH:/usr/sbin
host=$(hostname -s)

is_up() { # both nodes answer
    [ -f "$SLURM_CONF" ] && timeout 10 sinfo --noheader --Node --format='%t' 2> /dev/null |
        awk '/^(idle|mix|alloc|comp)/ {up++} END {exit up != 2}'
}

status() {
    if is_up; then
        echo "SLURM is up: export SLURM_CONF=$SLURM_CONF"
    else
        echo "SLURM is down."
        return 1
    fi
}

# Nobody can resolve n1, so TaskProlog tells the processes of a job where the first of them is. And
# SLURM lets a job that is queued again wait until its credentials have expired (cred_expire; two
# minutes if it is less than 5 seconds).
configure() {
    mkdir -p "$folder"/{state,n1,n2,munge}
    chmod 755 "$folder"
    cat > "$folder/prolog.sh" << 'END'
#!/bin/sh
echo "export MASTER_ADDR=127.0.0.1"
END
    chmod 755 "$folder/prolog.sh"
    cat > "$SLURM_CONF" << END
ClusterName=limner
SlurmctldHost=$host
SlurmctldPort=17000
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=6
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$folder/prolog.sh
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,bf_interval=2
JobRequeue=1
KillWait=20
CompleteWait=0
MinJobAge=300
OverTimeLimit=0
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=60
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
SlurmdParameters=config_overrides
NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=4 RealMemory=2000
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
END
}

start() {
    for program in munged slurmctld slurmd sbatch; do
        command -v $program > /dev/null || {
            echo "There is no $program: apt-get install slurm-wlm munge" >&2
            exit 1
        }
    done
    [ "$(id -u)" = 0 ] || { echo "Only root can start a SLURM here." >&2; exit 1; }
    if is_up; then
        status
        return
    fi
    stop
    configure
    chown -R munge: "$folder/munge"
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge/key")
    chown munge: "$folder/munge/key"
    runuser -u munge -- munged --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
        --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" \
        --seed-file="$folder/munge/seed"
    slurmctld -c
    for node in n1 n2; do slurmd -N $node; done
    for _ in $(seq 60); do
        if is_up; then
            status
            return
        fi
        sleep 0.5
    done
    echo "SLURM did not come up; see $folder/*.log" >&2
    exit 1
}

stop() {
    for file in "$folder"/n1.pid "$folder"/n2.pid "$folder"/slurmctld.pid "$folder"/munge/pid; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2> /dev/null || true
        for _ in $(seq 40); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.25
        done
    done
    rm -rf "$folder"
}

case ${1:-} in
    start | stop | status) "$1" ;;
    *) echo "Usage: scripts/local_slurm.sh start|stop|status" >&2 && exit 2 ;;
esac
