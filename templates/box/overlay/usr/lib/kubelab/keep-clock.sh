# Steps the clock when it has left the hardware clock, which QEMU keeps by the host's: also through a restore, a
# pause and a host that slept. Once a minute, without starting a program but for the pause.
rtc=/sys/class/rtc/rtc0/since_epoch
# Elsewhere the hardware clock may run in local time, or stand still while the machine is saved.
case $(systemd-detect-virt) in
qemu | kvm) ;;
*) exec sleep infinity ;;
esac
if [ ! -r "$rtc" ]; then exec sleep infinity; fi
while read -r hardware < "$rtc"; do
    difference=$((hardware - EPOCHSECONDS))
    # It counts whole seconds, and so may show almost one less.
    if [ "$difference" -ge 2 ] || [ "$difference" -le -3 ]; then
        before=$hardware
        while [ "$hardware" = "$before" ]; do
            sleep 0.05
            read -r hardware < "$rtc"
        done
        date -s "@$hardware" >/dev/null
    fi
    sleep 60
done
