# Keeps the node's clock by the hardware clock, which QEMU keeps by the host's: also through a restore, a pause and a
# host that slept.
#   lab-clock.pl keep   steps the clock whenever it has left the hardware clock; never ends
#   lab-clock.pl hold   prepares for being saved: run just before it; says "kept" where the other keeps the clock
# Perl, since it sets the clock without starting a program: after a restore everything waits for it.
use strict;
use warnings;

my $rtc      = '/sys/class/rtc/rtc0/since_epoch';
my $source   = '/sys/devices/system/clocksource/clocksource0/current_clocksource';
my $sources  = '/sys/devices/system/clocksource/clocksource0/available_clocksource';
# Seconds for which the processor's own counter is not to be read any more.
my $held     = '/run/kubelab-clock-held';
# Seconds by which the clock is ahead of the hardware clock, as measured at the last save.
my $measured = '/run/kubelab-clock-ahead';
# Of the system calls of x86-64.
my ($gettime, $settime, $realtime) = (228, 227, 0);
# Seconds between two looks.
my $pause = 0.25;
my $longest_hold = 60;
# A tick of the hardware clock that was seen later than this may be tried again.
my ($late, $tries) = (0.02, 4);
# How far the clock may be off.
my $off = 0.5;
# A hardware clock that stands still for so long is none.
my $longest_tick = 5;

sub line {
    my ($file) = @_;
    open(my $handle, '<', $file) or return undef;
    return scalar <$handle>;
}

# Also of the hardware clock this may be nothing for a while: a busy host can keep a machine from reading it.
sub number {
    my $line = line(@_);
    return defined $line ? $line + 0 : undef;
}

sub note {
    my ($file, $text) = @_;
    open(my $handle, '>', $file) or return;
    print $handle "$text\n";
    close $handle;
}

sub now {
    my $time = pack('qq', 0, 0);
    syscall($gettime, $realtime, $time);
    my ($seconds, $nanoseconds) = unpack('qq', $time);
    return $seconds + $nanoseconds / 1e9;
}

sub set_clock {
    my ($time) = @_;
    my $seconds = int($time);
    syscall($settime, $realtime, pack('qq', $seconds, int(($time - $seconds) * 1e9)));
}

# Returns the hardware clock just after it began a new second, and how late that may be noticed.
sub tick {
    my ($between) = @_;
    my $begun = now();
    my ($last, $first) = ($begun, number($rtc));
    while (-e $rtc) {
        select(undef, undef, undef, $between) if $between;
        my ($asked, $hardware) = (now(), number($rtc));
        return if $asked - $begun > $longest_tick;
        next unless defined $hardware;
        return ($hardware, now() - $last) if defined $first && $hardware != $first;
        ($last, $first) = ($asked, $hardware);
    }
    return;
}

sub step {
    my ($hardware) = @_;
    # The hardware clock counts whole seconds, and QEMU began to count at up to one second before the host's time.
    my $ahead = number($measured) // 0.5;
    set_clock($hardware + $ahead + 0.5);
    for (1 .. $tries) {
        my ($second, $lateness) = tick(0.01);
        return unless defined $second;
        set_clock($second + $ahead);
        return if $lateness <= $late;
    }
}

sub release {
    unlink $held;
    note($source, 'tsc');
}

sub keep {
    for (; -e $rtc; select(undef, undef, undef, $pause)) {
        my $before = number($rtc);
        my $now = now();
        # Read again: the machine may have been busy with something else between the two.
        my $hardware = number($rtc);
        next unless defined $before && defined $hardware;
        # What was measured at a save is exact; else the two may be a second apart, and one counts whole seconds.
        my $ahead  = number($measured);
        my $least  = $before + (defined $ahead ? $ahead - $off : -1);
        my $most   = $hardware + (defined $ahead ? $ahead + 1 + $off : 3);
        my $jumped = $now < $least || $now > $most;
        step($hardware) if $jumped;
        my $left = number($held);
        if (defined $left) {
            # Whoever was saved or restored has stood still since: the counter has jumped already.
            if   ($jumped || $left <= 0) { release() }
            else                         { note($held, $left - $pause) }
        }
    }
}

sub hold {
    my ($best, $ahead);
    for (1 .. $tries) {
        my ($second, $lateness) = tick(0);
        last unless defined $second;
        if (!defined $best || $lateness < $best) { ($best, $ahead) = ($lateness, now() - $second) }
        last if $lateness <= $late;
    }
    # Where the hardware clock runs in local time it says nothing.
    return unless defined $ahead && $ahead > -1 && $ahead < 2;
    note($measured, sprintf('%.6f', $ahead));
    return 1;
}

chomp(my $virt = `systemd-detect-virt`);
# Elsewhere the hardware clock may run in local time, or stand still while the machine is saved.
my $keeps = $virt eq 'qemu' || $virt eq 'kvm';
if ($ARGV[0] eq 'hold') {
    my $kept = hold() && $keeps;
    # The counter of an emulated processor never goes back in one QEMU process: after a restore it shows the time since
    # the save as if it had passed at once, and everything with a deadline in it fails together. Timers of the board do
    # go back, so the clock is read from one for the while: from the one that begins anew after 43 s if it is there, and
    # not after 4.7 s, since a machine that is kept from running for longer than that loses so much.
    if ($virt eq 'qemu') {
        my ($timer) = grep { (line($sources) // '') =~ /\b$_\b/ } qw(hpet acpi_pm);
        if (defined $timer) {
            note($held, $longest_hold);
            note($source, $timer);
        }
    }
    print "kept\n" if $kept;
}
elsif ($keeps) { keep() }
else           { sleep }
