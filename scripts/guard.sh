# The guard, /opt/edgerun/guard.sh on a board, run by edgerun-guard.service: carries one deployment to its end, whatever becomes of the line that
# brought it, and through reboots. Switches to the new release, watches the service's own report, and keeps the release or
# goes back to the one before. POSIX sh, for BusyBox, too. scripts/deploy-board.sh says what lies where.
#
#   phase    switch ──► watch ──► keep            each durable before it is acted on
#                         └─────► back
set -u
root=${1-}
opt=$root/opt/edgerun
trial=$opt/trial

# A release that makes the board restart is given up at this many boots.
most_boots=3
# So often the service may start anew before a release is given up.
most_restarts=3

say() { printf '%s\n' "$*"; }
of() { sed -n "s/^$1=//p" "$trial"; }

# Durable before the next act: a power cut in between begins again at this phase.
save() {
    cat >"$trial.new" <<EOF
phase=$phase
trial=$id
new=$new
old=$old
before=$before
wait=$wait
hold=$hold
boots=$boots
why=$why
EOF
    sync
    mv "$trial.new" "$trial"
    sync
}

point() {
    rm -f "$opt/$1.new"
    ln -s "releases/$2" "$opt/$1.new"
    mv -T "$opt/$1.new" "$opt/$1"
    sync
}

run_it() {
    systemctl daemon-reload
    systemctl enable edgerun.service >/dev/null 2>&1 || say "cannot enable edgerun.service"
    systemctl restart --no-block edgerun.service
}

seconds() { cut -d . -f 1 /proc/uptime; }

# Sets state, pid, restarts and report of the service.
look() {
    state='' pid='' restarts=0 report='' result=''
    shown=$(systemctl show edgerun.service -p ActiveState -p MainPID -p NRestarts -p StatusText -p Result)
    while IFS='=' read -r key value; do
        case $key in
            ActiveState) state=$value ;;
            MainPID) pid=$value ;;
            NRestarts) restarts=$value ;;
            StatusText) report=$value ;;
            Result) result=$value ;;
        esac
    done <<EOF
$shown
EOF
}

rank() {
    case $1 in
        degraded*) printf 1 ;;
        failing*) printf 2 ;;
        # Nothing was there to compare with.
        any) printf 3 ;;
        # ok, and a version that does not say how it is.
        *) printf 0 ;;
    esac
}

# 0: good for `hold` seconds without a break. 1: not, and why.
watch() {
    allowed=$(rank "$before") began=$(seconds) good='' first='' known='' ended='it ended by itself'
    while :; do
        look
        now=$(seconds)
        : "${first:=$restarts}"
        # While it starts anew there is none.
        case $result in success | '') ;; *) ended=$result ;; esac
        case $state in
            active)
                # Another process: whatever was good before it has ended.
                if [ "$pid" != "$known" ]; then known=$pid good=''; fi
                if [ "$(rank "$report")" -le "$allowed" ]; then
                    : "${good:=$now}"
                    if [ $((now - good)) -ge "$hold" ]; then return 0; fi
                    why="it was not good for $hold s without a break"
                else
                    good='' why="it says: $report"
                fi
                ;;
            failed)
                why="the service failed: $ended"
                return 1
                ;;
            *) good='' why="the service is ${state:-unknown}, and not ready" ;;
        esac
        if [ $((restarts - first)) -ge $most_restarts ]; then
            why="the service started anew $most_restarts times: $ended"
            return 1
        fi
        if [ $((now - began)) -ge $((wait + hold)) ]; then
            why="after $wait s $why"
            return 1
        fi
        sleep 1
    done
}

finish() {
    printf '%s %s\n' "$id" "$*" >"$opt/outcome.new"
    sync
    mv "$opt/outcome.new" "$opt/outcome"
    rm -f "$trial"
    sync
    say "$*"
}

back() {
    if [ -z "$old" ]; then
        finish "failed $new: $why; there is no release before it to go back to"
        return
    fi
    point current "$old"
    run_it
    left=$wait
    look
    while [ "$state" != active ] && [ "$left" -gt 0 ]; do
        sleep 1
        left=$((left - 1))
        look
    done
    finish "rolled-back $new: $why; $old is ${state:-unknown} again"
}

if ! [ -f "$trial" ]; then exit 0; fi
phase=$(of phase) id=$(of trial) new=$(of new) old=$(of old) before=$(of before)
wait=$(of wait) hold=$(of hold) boots=$(of boots) why=$(of why)

# Counted before anything can go wrong.
boots=$((boots + 1))
save
if [ "$phase" = watch ] && [ "$boots" -gt $most_boots ]; then
    phase=back why="the board started $((boots - 1)) times during the trial"
    save
fi
if [ "$phase" = switch ]; then
    say "switching to $new"
    point current "$new"
    phase=watch
    save
    run_it
elif [ "$phase" = watch ]; then
    # After a reboot; the cut may have been before the first start.
    systemctl daemon-reload
    systemctl enable edgerun.service >/dev/null 2>&1
    systemctl start --no-block edgerun.service
fi
if [ "$phase" = watch ]; then
    if watch; then phase=keep; else phase=back; fi
    save
fi
case $phase in
    keep)
        # A trial of the release before changes their places.
        if [ "$old" ]; then point previous "$old"; fi
        finish "committed $new"
        ;;
    back) back ;;
esac
