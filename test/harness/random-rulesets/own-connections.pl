# Opens connections, and for each line of input sends one segment on each of them that conntrack calls INVALID:
# `perl own-connections.pl HOST PORT LOCALPORT...`. Prints a line as soon as all are open.
#
# The flags SYN, ACK and URG are no valid combination (tcp_valid_flags, net/netfilter/nf_conntrack_proto_tcp.c), whatever
# conntrack knows of the connection. An established socket answers every SYN with an acknowledgement and changes nothing
# (tcp_validate_incoming, net/ipv4/tcp_input.c). The sequence number is not the connection's, so that ICMP errors do not
# concern it, nor is the acknowledgement number, so that a reset in answer does not end it.
use strict;
use warnings;
use Socket qw(:all);

# Data offset of five words, then the flags.
my $OFFSET_AND_FLAGS = 0x5032;

# Keeps the sockets open.
my @connections;

sub name_of {
  my ($family, $address, $port) = @_;
  return $family == AF_INET ? pack_sockaddr_in($port, $address) : pack_sockaddr_in6($port, $address);
}

sub segment_of {
  my ($source, $destination, $local_port, $port) = @_;
  my $segment = sub { pack 'n2 N2 n4', $local_port, $port, 0, 0, $OFFSET_AND_FLAGS, 0, shift, 0 };
  my $pseudo_header = $source . $destination . pack 'n2', IPPROTO_TCP, length $segment->(0);
  my $sum = unpack '%32n*', $pseudo_header . $segment->(0);
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum > 0xffff;
  return $segment->(~$sum & 0xffff);
}

sub open_connection {
  my ($host, $port, $local_port) = @_;
  my $family = $host =~ /:/ ? AF_INET6 : AF_INET;
  my $any = $family == AF_INET ? INADDR_ANY : IN6ADDR_ANY;
  my $address = inet_pton($family, $host);
  socket(my $connection, $family, SOCK_STREAM, 0) or die "socket: $!";
  bind($connection, name_of($family, $any, $local_port)) or die "bind: $!";
  connect($connection, name_of($family, $address, $port)) or die "connect to $host $port: $!";
  my $own = getsockname($connection);
  my $source = $family == AF_INET ? (unpack_sockaddr_in($own))[1] : (unpack_sockaddr_in6($own))[1];
  socket(my $raw, $family, SOCK_RAW, IPPROTO_TCP) or die "raw socket: $!";
  bind($raw, name_of($family, $source, 0)) or die "bind: $!";
  push @connections, {
    connection => $connection,
    raw => $raw,
    to => name_of($family, $address, 0),
    segment => segment_of($source, $address, $local_port, $port),
  };
}

open_connection(splice @ARGV, 0, 3) while @ARGV;
$| = 1;
print "open\n";
while (<STDIN>) {
  for my $one (@connections) {
    defined send($one->{raw}, $one->{segment}, 0, $one->{to}) or die "send: $!";
  }
}
