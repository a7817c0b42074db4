#!/bin/bash
# A sweep on Ray, on all nodes of one job of Slurm. The first node drives, all of them train:
#
#   sbatch --nodes=4 --gres=gpu:1 --time=04:00:00 examples/ray_on_slurm/sweep.sh \
#     +experiment=lora_grid executor.workers=4 executor.gpus=1
#
# Submitted again after its time is over, it goes on where it was.
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR1@120
set -euo pipefail

nodes=$SLURM_JOB_NUM_NODES
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
# Nobody else's cluster, and nobody else in this one.
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN RAY_USAGE_STATS_ENABLED=0
own=(--num-cpus "${SLURM_CPUS_PER_TASK:-1}" --block)

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --port="$port" --include-dashboard=false "${own[@]}" &
until ray health-check --address="127.0.0.1:$port" >/dev/null 2>&1; do sleep 2; done
if ((nodes > 1)); then
  srun --overlap --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --exclude="$head" \
    ray start --address="$(hostname -i | cut -d ' ' -f 1):$port" "${own[@]}" &
fi

# Signals go to the driver, which saves its runs.
python -m sweep "$@" executor=ray "executor.address=$(hostname -i | cut -d ' ' -f 1):$port" executor.grace_s=90 &
driver=$!
trap 'kill -USR1 "$driver"' USR1
trap 'kill -TERM "$driver"' TERM
code=0
wait "$driver" || code=$?
while kill -0 "$driver" 2>/dev/null; do
  code=0
  wait "$driver" || code=$?
done
exit "$code"
