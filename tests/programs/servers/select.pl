# SPDX-License-Identifier: MIT
# IO::Select, and a listening socket among the clients.
use strict;
use IO::Select;
use IO::Socket::INET;

my $served = 0;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 8000, Listen => 16, ReuseAddr => 1) or die $!;
my $all = IO::Select->new($listener);
while (1) {
	for my $ready ($all->can_read) {
		if ($ready == $listener) {
			$all->add($listener->accept);
			next;
		}
		my $request = '';
		if (!$ready->sysread($request, 65536)) {
			$all->remove($ready);
			$ready->close;
			next;
		}
		$served++;
		$ready->syswrite("HTTP/1.1 200 OK\r\nContent-Length: " . length($served) . "\r\n\r\n$served");
	}
}
