// A stand-in for ztunnel, for tests of Istio's ambient mode: ztunnel itself is a program in Rust that is in no registry
// reached here. What it does as ztunnel does: it says hello at istio-cni's socket and acknowledges each message (ZDS,
// istio.io/istio/pkg/zdsapi), takes the pod's network namespace from there, and listens in it on ztunnel's three ports, with
// the mark and IP_TRANSPARENT (istio/ztunnel: src/inpod/config.rs, src/proxy/inbound_passthrough.rs). What it does not: HBONE
// (TLS and HTTP/2), policy and identity. On 15008 it passes the bytes on as they are, which for the kernel's TCP is the same.
//
//	ztunnel-stand-in -zds SOCKET     for the pods that istio-cni names
//	ztunnel-stand-in                 for the network namespace that it is started in
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/cni/pkg/config"
	"istio.io/istio/pkg/zdsapi"
)

const dialLimit = 10 * time.Second

var appPort = flag.Uint("app", 9000, "port of the pod that 15008 passes connections on to")

func main() {
	zds := flag.String("zds", "", "istio-cni's socket; without it, this network namespace is served")
	flag.Parse()
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	log.SetPrefix("stand-in for ztunnel: ")
	if *zds == "" {
		own, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		check(err)
		_, err = serve(own)
		check(err)
		log.Print("ready")
		select {}
	}
	check(register(*zds))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// register serves each pod that istio-cni names until istio-cni goes away.
func register(socket string) error {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return err
	}
	if err := send(conn, &zdsapi.ZdsHello{Version: zdsapi.Version_V1}); err != nil {
		return err
	}
	pods := map[string]func(){}
	for {
		request, namespace, err := receive(conn)
		if err != nil {
			return err
		}
		ack := &zdsapi.Ack{}
		if err := apply(pods, request, namespace); err != nil {
			log.Print(err)
			ack.Error = err.Error()
		}
		answer := &zdsapi.WorkloadResponse{Payload: &zdsapi.WorkloadResponse_Ack{Ack: ack}}
		if err := send(conn, answer); err != nil {
			return err
		}
	}
}

func send(conn *net.UnixConn, message proto.Message) error {
	data, err := proto.Marshal(message)
	if err == nil {
		_, err = conn.Write(data)
	}
	return err
}

// receive returns the request and the file descriptor of the pod's network namespace, or -1.
func receive(conn *net.UnixConn) (*zdsapi.WorkloadRequest, int, error) {
	data, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, -1, err
	}
	if n == 0 {
		return nil, -1, io.EOF
	}
	request := &zdsapi.WorkloadRequest{}
	if err := proto.Unmarshal(data[:n], request); err != nil {
		return nil, -1, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:oobn])
	if err != nil || len(messages) == 0 {
		return request, -1, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, -1, err
	}
	return request, fds[0], nil
}

func apply(pods map[string]func(), request *zdsapi.WorkloadRequest, namespace int) error {
	switch payload := request.Payload.(type) {
	case *zdsapi.WorkloadRequest_Add:
		uid, info := payload.Add.Uid, payload.Add.WorkloadInfo
		if pods[uid] != nil {
			return unix.Close(namespace)
		}
		stop, err := serve(namespace)
		if err != nil {
			return err
		}
		pods[uid] = stop
		log.Printf("added %s/%s", info.GetNamespace(), info.GetName())
	case *zdsapi.WorkloadRequest_Del:
		if stop := pods[payload.Del.Uid]; stop != nil {
			stop()
			delete(pods, payload.Del.Uid)
			log.Printf("removed %s", payload.Del.Uid)
		}
	case *zdsapi.WorkloadRequest_SnapshotSent:
		log.Print("ready")
	}
	return nil
}

// serve listens on ztunnel's ports in the namespace, and returns what ends that.
func serve(namespace int) (func(), error) {
	var listeners []net.Listener
	stop := func() {
		for _, listener := range listeners {
			listener.Close()
		}
		unix.Close(namespace)
	}
	for port, target := range targets {
		for _, network := range []string{"tcp4", "tcp6"} {
			listener, err := listen(namespace, network, port)
			if err != nil {
				stop()
				return nil, err
			}
			listeners = append(listeners, listener)
			go accept(namespace, listener, target)
		}
	}
	return stop, nil
}

// A target says where a connection to one of the ports is passed on to, and whether with its own source address.
type target struct {
	of         func(*net.TCPConn) (netip.AddrPort, error)
	keepSource bool
}

var targets = map[int]target{
	config.ZtunnelInboundPlaintextPort: {originalDestination, true},
	config.ZtunnelInboundPort:          {application, true},
	config.ZtunnelOutboundPort:         {originalDestination, false},
}

func application(conn *net.TCPConn) (netip.AddrPort, error) {
	return netip.AddrPortFrom(addrPort(conn.LocalAddr()).Addr(), uint16(*appPort)), nil
}

func originalDestination(conn *net.TCPConn) (netip.AddrPort, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var found netip.AddrPort
	controlErr := raw.Control(func(fd uintptr) {
		if addrPort(conn.LocalAddr()).Addr().Is4() {
			// A sockaddr_in has 16 bytes, as what this reads has: family, port, address.
			var answer *unix.IPv6Mreq
			if answer, err = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST); err == nil {
				a := answer.Multiaddr
				found = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), uint16(a[2])<<8|uint16(a[3]))
			}
			return
		}
		// A sockaddr_in6 is what IPV6_MTU begins with.
		var answer *unix.IPv6MTUInfo
		if answer, err = unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, unix.SO_ORIGINAL_DST); err == nil {
			port := answer.Addr.Port
			found = netip.AddrPortFrom(netip.AddrFrom16(answer.Addr.Addr), port<<8|port>>8)
		}
	})
	if controlErr != nil {
		return found, controlErr
	}
	switch found.Port() {
	case config.ZtunnelInboundPlaintextPort, config.ZtunnelInboundPort, config.ZtunnelOutboundPort:
		return found, fmt.Errorf("refused a connection to %s, a port of its own", found)
	}
	return found, err
}

func addrPort(address net.Addr) netip.AddrPort {
	found := address.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(found.Addr().Unmap(), found.Port())
}

// inside runs work on a thread in the namespace, which ends with it.
func inside(namespace int, work func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- work()
	}()
	return <-done
}

// asZtunnel gives a socket ztunnel's mark, by which its packets are known, and lets it have addresses of others.
func asZtunnel(network, _ string, raw syscall.RawConn) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		level, option := unix.SOL_IP, unix.IP_TRANSPARENT
		if network == "tcp6" {
			level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
		}
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, config.InpodMark); err == nil {
			err = unix.SetsockoptInt(int(fd), level, option, 1)
		}
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}

func listen(namespace int, network string, port int) (listener net.Listener, err error) {
	config := net.ListenConfig{Control: asZtunnel}
	err = inside(namespace, func() (err error) {
		listener, err = config.Listen(context.Background(), network, fmt.Sprintf(":%d", port))
		return err
	})
	return listener, err
}

func accept(namespace int, listener net.Listener, to target) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			if err := pass(namespace, conn.(*net.TCPConn), to); err != nil {
				log.Print(err)
			}
		}()
	}
}

// pass connects to the target and copies both ways until both sides have ended.
func pass(namespace int, inbound *net.TCPConn, to target) error {
	defer inbound.Close()
	destination, err := to.of(inbound)
	if err != nil {
		return err
	}
	dialer := net.Dialer{Control: asZtunnel, Timeout: dialLimit}
	if to.keepSource {
		dialer.LocalAddr = &net.TCPAddr{IP: addrPort(inbound.RemoteAddr()).Addr().AsSlice()}
	}
	var dialed net.Conn
	if err := inside(namespace, func() (err error) {
		dialed, err = dialer.Dial("tcp", destination.String())
		return err
	}); err != nil {
		return err
	}
	defer dialed.Close()
	outbound := dialed.(*net.TCPConn)
	ends := make(chan error, 2)
	go copyTo(outbound, inbound, ends)
	go copyTo(inbound, outbound, ends)
	// Where one side fails, both are closed.
	for range 2 {
		if err := <-ends; err != nil {
			return nil
		}
	}
	return nil
}

func copyTo(to, from *net.TCPConn, ends chan<- error) {
	_, err := io.Copy(to, from)
	to.CloseWrite()
	ends <- err
}
