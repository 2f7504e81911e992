#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Check that a TCP connection survives one segment over the receive window,
# where the ruleset drops packets in state invalid.
#
#    ns1: client                      ns2: server
#    10.0.1.1 veth0 ------------ veth0 10.0.1.2
#    moves one segment                conntrack, "ct state invalid drop"
#
# The endpoints cope: the server's TCP discards the segment, if it gets it, and
# the client sends the data again where it belongs.

# Kselftest framework requirement - SKIP code is 4.
ksft_skip=4
ret=0

port=8080
# The server's window: 64 KiB in whole segments, for an MTU of 1500.
window=65160

rnd=$(mktemp -u XXXXXXXX)
ns1="ns1-$rnd"
ns2="ns2-$rnd"

checktool()
{
	command -v "$1" > /dev/null && return
	echo "SKIP: Could not run test without $1"
	exit $ksft_skip
}

cleanup()
{
	local ns

	for ns in "$ns1" "$ns2"; do
		ip netns pids "$ns" 2> /dev/null | xargs -r kill 2> /dev/null
		ip netns del "$ns" 2> /dev/null
	done
}

for tool in ip nft socat ss sysctl; do
	checktool "$tool"
done

trap cleanup EXIT

if ! ip netns add "$ns1" || ! ip netns add "$ns2"; then
	echo "SKIP: Could not create net namespaces"
	exit $ksft_skip
fi
if ! ip link add veth0 netns "$ns1" type veth peer name veth0 netns "$ns2"; then
	echo "SKIP: No virtual ethernet pair device support in kernel"
	exit $ksft_skip
fi
ip -net "$ns1" addr add 10.0.1.1/24 dev veth0
ip -net "$ns2" addr add 10.0.1.2/24 dev veth0
ip -net "$ns1" link set veth0 up
ip -net "$ns2" link set veth0 up

# The client's TCP gives up after about 6 seconds without an acknowledgement.
ip netns exec "$ns1" sysctl -q net.ipv4.tcp_retries2=4
# The window stays as it is, whatever the defaults are here.
ip netns exec "$ns2" sysctl -q net.ipv4.tcp_rmem="4096 131072 131072"

if ! ip netns exec "$ns2" nft -f - <<EOF
table ip filter {
	counter invalid { }
	chain prerouting {
		type filter hook prerouting priority -150; policy accept;
		ct state invalid counter name "invalid" drop
	}
}
EOF
then
	echo "SKIP: Could not load nft rules"
	exit $ksft_skip
fi

ip netns exec "$ns2" socat TCP-LISTEN:$port,reuseaddr,fork PIPE 2> /dev/null &
for _ in $(seq 1 100); do
	ip netns exec "$ns2" ss -Htln "sport = :$port" | grep -q "$port" && break
	sleep 0.1
done

# Makes the client note the sequence number of each segment with data.
note_sequence()
{
	ip netns exec "$ns1" nft -f - <<EOF
table ip filter
delete table ip filter
table ip filter {
	counter moved { }
	set sent {
		typeof tcp sequence
		flags dynamic
		size 16
	}
	chain output {
		type filter hook output priority 0; policy accept;
		tcp dport $port tcp flags psh add @sent { tcp sequence }
	}
}
EOF
}

noted_sequence()
{
	ip netns exec "$ns1" nft list set ip filter sent |
		sed -n 's/.*elements = { \([0-9]*\) }.*/\1/p'
}

# Gives the next segment with data the sequence number $1, and none after it:
# what the client sends again is not changed.
move_segment()
{
	ip netns exec "$ns1" nft add rule ip filter output \
		tcp dport $port tcp flags psh numgen inc mod 1000000 == 0 \
		counter name moved tcp sequence set "$1"
}

packets()
{
	ip netns exec "$1" nft list counter ip filter "$2" |
		sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}

# Sends a line and waits for its echo, or for the end of the connection.
exchange()
{
	local answer

	echo "$1" >&"$to_server"
	read -r -t 60 answer <&"$from_server"
	[ "$answer" = "$1" ]
}

# Opens a connection and exchanges four lines of 16 bytes. The segment of the
# second one is moved forward by $1 bytes.
test_moved_segment()
{
	local offset="$1"
	local name="$2"
	local line sent
	local answered=0
	local dropped

	note_sequence
	dropped=$(packets "$ns2" invalid)

	coproc client { exec ip netns exec "$ns1" socat - TCP:10.0.1.2:$port 2> /dev/null; }
	local pid=$client_PID
	exec {to_server}>&"${client[1]}" {from_server}<&"${client[0]}"

	for line in "this is line 01" "this is line 02" "this is line 03" "this is line 04"; do
		exchange "$line" || break
		answered=$((answered + 1))
		if [ $answered -eq 1 ]; then
			sent=$(noted_sequence)
			move_segment $(((sent + 16 + offset) % (1 << 32)))
		fi
	done

	exec {to_server}>&- {from_server}<&-
	kill "$pid" 2> /dev/null
	wait "$pid" 2> /dev/null
	dropped=$(($(packets "$ns2" invalid) - dropped))

	if [ -z "$sent" ] || [ "$(packets "$ns1" moved)" != 1 ]; then
		echo "FAIL: $name: no segment was moved"
		ret=1
	elif [ $answered -lt 4 ]; then
		echo "FAIL: $name: stuck after $answered of 4 lines (invalid packets: $dropped)"
		ret=1
	else
		echo "PASS: $name: all lines answered (invalid packets: $dropped)"
	fi
}

test_moved_segment $((window + 30000)) "30000 bytes over the window"
test_moved_segment $((1 << 30)) "far over the window"

ip netns exec "$ns2" sysctl -q net.netfilter.nf_conntrack_tcp_be_liberal=1
test_moved_segment $((window + 30000)) "30000 bytes over the window, be_liberal=1"

exit $ret
