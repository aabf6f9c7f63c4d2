# SPDX-License-Identifier: MIT
use strict;
use warnings;
use POSIX qw(floor);
use List::Util qw(sum max);
my %count;
$count{$_}++ for split //, "mississippi";
print join(" ", map { "$_$count{$_}" } sort keys %count), "\n";
my @primes = grep { my $n = $_; !grep { $n % $_ == 0 } 2 .. floor(sqrt $n) } 2 .. 2000;
print scalar(@primes), " ", sum(@primes), " ", max(@primes), "\n";
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; select(undef, undef, undef, 10); };
print "caught $@";
pipe(my $read, my $write) or die;
syswrite $write, "pipe\n";
print scalar <$read>;
print "sorted ", join(",", sort { $a <=> $b } map { $_ * 7919 % 101 } 1 .. 20), "\n";
printf "%s\n", unpack("H*", pack("NnCA3", 1, 2, 3, "abc"));
