# Steps the clock when it has left the hardware clock, which QEMU keeps by the host's: also through a restore, a
# pause and a host that slept. Looks every second, since everything waits for it after a restore, and starts no
# program to do so. Gives the processor's own counter back its work some time after a save (see hold-clock.sh).
rtc=/sys/class/rtc/rtc0/since_epoch
# Elsewhere the hardware clock may run in local time, or stand still while the machine is saved.
case $(systemd-detect-virt) in
qemu | kvm) ;;
*) exec sleep infinity ;;
esac
if [ ! -r "$rtc" ]; then exec sleep infinity; fi
# Nobody ever writes to it: to read from it with a time limit is to sleep.
exec {never}<> <(:)

step() {
    # How far the clock is ahead of the hardware clock, in microseconds: that one counts whole seconds, and QEMU
    # began to count at up to one second before the host's time. What was measured at a save is exact.
    local ahead=500000 before=$hardware total
    if [ -r /run/kubelab-clock-ahead ]; then read -r ahead < /run/kubelab-clock-ahead; fi
    date -s "@$((hardware + 1))" >/dev/null
    # The program is quick the second time.
    while [ "$hardware" = "$before" ]; do
        read -r -t 0.02 -u "$never" _
        read -r hardware < "$rtc"
    done
    total=$((hardware * 1000000 + ahead))
    date -s "@$((total / 1000000)).$(printf %06d $((total % 1000000)))" >/dev/null
}

while read -r hardware < "$rtc"; do
    difference=$((hardware - EPOCHSECONDS))
    if [ "$difference" -ge 2 ] || [ "$difference" -le -3 ]; then step; fi
    if [ -e /run/kubelab-clock-held ]; then
        read -r left < /run/kubelab-clock-held
        if [ "$left" -gt 0 ]; then
            echo $((left - 1)) > /run/kubelab-clock-held
        else
            rm /run/kubelab-clock-held
            echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource
        fi
    fi
    read -r -t 1 -u "$never" _
done
