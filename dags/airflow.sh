#!/bin/sh
# Airflow for this checkout, on 127.0.0.1 only: start | stop | status | run ARGS (any command of `airflow`).
# All it keeps lies in AIRFLOW_HOME, readable by its owner alone. AIRFLOW__DATABASE__SQL_ALCHEMY_CONN names a PostgreSQL;
# who shares one between machines gives them the same AIRFLOW__CORE__FERNET_KEY and AIRFLOW__API_AUTH__JWT_SECRET too.
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
BIN=${CLM_AIRFLOW_VENV:-$ROOT/.venv-airflow}/bin
PIPELINE=${CLM_VENV:-$ROOT/.venv}
PORT=${AIRFLOW_PORT:-8080}
export AIRFLOW_HOME="${AIRFLOW_HOME:-$ROOT/.airflow}"
RUN=$AIRFLOW_HOME/run LOG=$AIRFLOW_HOME/log
# How long what is told to end may take: a stage that is at work notes its end and frees the lake.
PATIENCE=${PATIENCE:-90}

if [ ! -x "$BIN/airflow" ]; then echo "Airflow is not installed: say make airflow." >&2; exit 1; fi
(umask 077 && mkdir -p "$RUN" "$LOG" && chmod 700 "$AIRFLOW_HOME")

# made NAME CODE: a secret that is made once and never shown.
made() {
  [ -s "$RUN/$1" ] || (umask 077 && "$BIN/python" -c "$2" > "$RUN/$1")
  cat "$RUN/$1"
}

# spark-submit is the pipeline's own, and runs its Python; the provider finds it by PATH only.
export PATH="$BIN:$PIPELINE/bin:$PATH"
export PYSPARK_PYTHON="$PIPELINE/bin/python" PYSPARK_DRIVER_PYTHON="$PIPELINE/bin/python"
SPARK_HOME=$(echo "$PIPELINE"/lib/python3*/site-packages/pyspark) && export SPARK_HOME
export PYTHONPATH="$ROOT"
export CLM_SPARK_PROPERTIES="$RUN/spark.properties"
LOCAL='{"conn_type": "spark", "host": "local[*]", "extra": {"deploy-mode": "client"}}'
export AIRFLOW_CONN_SPARK_DEFAULT="${AIRFLOW_CONN_SPARK_DEFAULT:-$LOCAL}"
export AIRFLOW__CORE__DAGS_FOLDER="${AIRFLOW__CORE__DAGS_FOLDER:-$ROOT/dags}"
export AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__CORE__EXECUTOR=LocalExecutor
# The lake takes one at a time; the other is for what waits on its tables.
export AIRFLOW__CORE__PARALLELISM="${AIRFLOW__CORE__PARALLELISM:-2}"
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS=clm:admin
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE="$RUN/password.json"
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="http://127.0.0.1:$PORT/execution/"
export AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT="$PORT" AIRFLOW__API__BASE_URL="http://127.0.0.1:$PORT"
export AIRFLOW__API__WORKERS=1
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
KEY='from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'
SECRET='import secrets; print(secrets.token_hex(32))'
AIRFLOW__CORE__FERNET_KEY=${AIRFLOW__CORE__FERNET_KEY:-$(made fernet "$KEY")}
AIRFLOW__API__SECRET_KEY=${AIRFLOW__API__SECRET_KEY:-$(made api_secret "$SECRET")}
AIRFLOW__API_AUTH__JWT_SECRET=${AIRFLOW__API_AUTH__JWT_SECRET:-$(made jwt_secret "$SECRET")}
export AIRFLOW__CORE__FERNET_KEY AIRFLOW__API__SECRET_KEY AIRFLOW__API_AUTH__JWT_SECRET
made password.json 'import json, secrets; print(json.dumps({"clm": secrets.token_urlsafe(24)}))' > /dev/null

# A process by its number and when it began, since numbers come again after a reboot.
born() { ps -o lstart= -p "$1" 2> /dev/null | tr -s ' ' _; }
pid_of() { cut -d ' ' -f 1 "$RUN/$1.pid"; }
is_alive() { [ -s "$RUN/$1.pid" ] && [ "$(cat "$RUN/$1.pid")" = "$(pid_of "$1") $(born "$(pid_of "$1")")" ]; }

# Each part leads a session of its own, by which all that it started is found again.
begin() {
  name=$1
  shift
  if is_alive "$name"; then echo "$name is there already." >&2; return; fi
  setsid "$BIN/airflow" "$@" > "$LOG/$name.log" 2>&1 < /dev/null &
  echo "$! $(born $!)" > "$RUN/$name.pid"
}

members() { ps -o pid= -s "$1"; }

# The scheduler waits for its tasks, each a process group of its session, so they are told as well.
end() {
  if is_alive "$1"; then
    leader=$(pid_of "$1")
    kill -TERM "$leader" 2> /dev/null || true
    ps -o pid=,pgid= -s "$leader" | while read -r pid group; do
      if [ "$group" != "$leader" ]; then kill -TERM "$pid" 2> /dev/null || true; fi
    done
    waited=0
    while [ -n "$(members "$leader")" ] && [ "$waited" -lt "$PATIENCE" ]; do sleep 1; waited=$((waited + 1)); done
    for pid in $(members "$leader"); do
      echo "$1 left process $pid, which is killed." >&2
      kill -KILL "$pid" 2> /dev/null || true
    done
  fi
  rm -f "$RUN/$1.pid"
}

case "${1:-}" in
  start)
    "$PIPELINE/bin/clm" spark-properties --out "$CLM_SPARK_PROPERTIES"
    "$BIN/airflow" db migrate > "$LOG/migrate.log" 2>&1 || { tail -n 5 "$LOG/migrate.log" >&2; exit 1; }
    "$BIN/airflow" pools set clm_lake 1 "The lake: one run at a time." > /dev/null 2>> "$LOG/migrate.log"
    begin api-server api-server
    # Their servers for logs would listen on every address.
    begin scheduler scheduler --skip-serve-logs
    begin dag-processor dag-processor
    begin triggerer triggerer --skip-serve-logs
    waited=0
    until "$BIN/python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$PORT/api/v2/version')" 2> /dev/null; do
      sleep 1
      waited=$((waited + 1))
      if [ "$waited" -gt 120 ] || ! is_alive api-server; then
        echo "Airflow did not come up; $LOG/api-server.log says why." >&2
        exit 1
      fi
    done
    echo "Airflow is at http://127.0.0.1:$PORT; user clm, password in $RUN/password.json. Its DAGs wait to be switched on."
    ;;
  stop) for name in scheduler dag-processor triggerer api-server; do end "$name"; done ;;
  status) for name in api-server scheduler dag-processor triggerer; do
      if is_alive "$name"; then echo "$name is at work"; else echo "$name is not there"; fi
    done ;;
  run)
    shift
    exec "$BIN/airflow" "$@"
    ;;
  *)
    echo "Usage: $0 start | stop | status | run ARGS" >&2
    exit 2
    ;;
esac
