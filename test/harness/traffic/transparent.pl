# Opens a listening socket on the port, with IP_TRANSPARENT, which Node cannot set, and becomes the program, which
# finds it as file descriptor 3: `perl transparent.pl PORT PROGRAM ARGUMENT...`
use strict;
use warnings;
use Socket qw(:all);

my $port = shift @ARGV;
# Descriptors up to this number stay open in the program.
$^F = 3;
socket(my $listener, PF_INET6, SOCK_STREAM, 0) or die "socket: $!";
die 'descriptor 3 is taken' if fileno($listener) != 3;
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1) or die "SO_REUSEADDR: $!";
# IP_TRANSPARENT and IPV6_TRANSPARENT of <linux/in.h> and <linux/in6.h>: Socket.pm has no names for them.
setsockopt($listener, IPPROTO_IP, 19, 1) or die "IP_TRANSPARENT: $!";
setsockopt($listener, IPPROTO_IPV6, 75, 1) or die "IPV6_TRANSPARENT: $!";
bind($listener, pack_sockaddr_in6($port, IN6ADDR_ANY)) or die "bind: $!";
listen($listener, 128) or die "listen: $!";
exec @ARGV or die "exec: $!";
