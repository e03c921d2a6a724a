package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// server is all that serves in this process: several ports that live and end together.
type server struct {
	name, edition, hostname string
	draining                atomic.Bool
	open                    sync.WaitGroup // connections that net/http does not wait for
}

// port is one listener with what is spoken on it.
type port struct {
	protocol string
	plain    string // the same without tls+
	listener net.Listener
	handle   func(net.Conn) error // nil for http, h2c and grpc
}

const listenHelp = `[tls+]protocol:[host:]port, several times; protocols:
  http    see http.go
  h2c     the same by HTTP/2 without TLS, and by nothing else
  grpc    see grpc.go
  echo    sends back what it gets; after the end of input what is left, then the end
  sink    counts and hashes what it gets; at the end of input it answers JSON with bytes and sha256
  source  reads a line with a number, sends so many bytes of the pattern in pattern.go
  hello   says its name in a line, then ends`

// serve answers until a signal comes. Then it is no longer ready, but goes on answering for the drain time, since
// those who route to it learn of its end at the same moment; then it finishes what is open, and returns.
func serve(ctx context.Context, arguments []string) error {
	var listen list
	flags := flag.NewFlagSet("echo serve", flag.ExitOnError)
	flags.Var(&listen, "listen", listenHelp)
	name := flags.String("name", os.Getenv("ECHO_NAME"), "what it says its name is; else $ECHO_NAME, else the host's name")
	edition := flags.String("edition", os.Getenv("ECHO_EDITION"), "what it says its edition is; else $ECHO_EDITION")
	cert := flags.String("cert", "", "file with the certificates for tls+; read at each handshake")
	key := flags.String("key", "", "file with the private key for tls+")
	drain := flags.Duration("drain", 2*time.Second, "how long it answers as before after a signal, but is not ready")
	grace := flags.Duration("grace", 20*time.Second, "how long it waits after that for what is open")
	_ = flags.Parse(arguments) // exits
	if flags.NArg() > 0 || len(listen) == 0 {
		misuse("echo serve: name at least one --listen, and nothing but flags")
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	s := &server{name: *name, edition: *edition, hostname: hostname}
	if s.name == "" {
		s.name = hostname
	}
	var ports []port
	for _, spec := range listen {
		p, err := s.listen(spec, *cert, *key)
		if err != nil {
			return fmt.Errorf("--listen %s: %w", spec, err)
		}
		ports = append(ports, p)
		slog.Info("listening", "protocol", p.protocol, "address", p.listener.Addr().String())
	}
	return s.run(ctx, ports, *drain, *grace)
}

func (s *server) listen(spec, cert, key string) (port, error) {
	protocol, address, _ := strings.Cut(spec, ":")
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	plain, secure := strings.CutPrefix(protocol, "tls+")
	handle, known := map[string]func(net.Conn) error{
		"http": nil, "h2c": nil, "grpc": nil, "echo": echoBytes, "sink": sinkBytes, "source": sourceBytes, "hello": s.sayHello,
	}[plain]
	if !known {
		return port{}, errors.New("the protocol is http, h2c, grpc, echo, sink, source or hello, with or without tls+")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return port{}, err
	}
	if secure {
		load := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
		if _, err := load(nil); err != nil {
			return port{}, err
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: load}
		if plain == "grpc" {
			http2(config)
		}
		listener = tls.NewListener(listener, config)
	}
	return port{protocol, plain, listener, handle}, nil
}

// run serves all ports until the context ends, then ends in order. An error says which port has failed, or what was
// still open when the grace was over.
func (s *server) run(ctx context.Context, ports []port, drain, grace time.Duration) error {
	failed := make(chan error, len(ports))
	web, prior, calls := s.web(), s.web(), s.calls()
	prior.Protocols = new(http.Protocols)
	prior.Protocols.SetUnencryptedHTTP2(true)
	for _, p := range ports {
		go func() {
			switch {
			case p.handle != nil:
				failed <- s.accept(p)
			case p.plain == "grpc":
				failed <- calls.Serve(p.listener)
			case p.plain == "h2c":
				failed <- prior.Serve(p.listener)
			default:
				failed <- web.Serve(p.listener)
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	slog.Info("draining", "drain", drain.String())
	time.Sleep(drain)
	for _, p := range ports {
		p.listener.Close()
	}
	slog.Info("closed", "grace", grace.String())
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for _, each := range []*http.Server{web, prior} {
		if err := each.Shutdown(limit); err != nil {
			return fmt.Errorf("requests are open after %s: %w", grace, err)
		}
	}
	calls.Stop() // a Watch never ends by itself
	finished := make(chan struct{})
	go func() {
		s.open.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		slog.Info("ended")
		return nil
	case <-limit.Done():
		return fmt.Errorf("connections are open after %s", grace)
	}
}

// accept hands each connection of a port to its handler; it returns when the listener is closed.
func (s *server) accept(p port) error {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			slog.Warn("accept failed", "protocol", p.protocol, "error", err.Error())
			time.Sleep(100 * time.Millisecond) // out of descriptors, for one
			continue
		}
		s.open.Go(func() {
			defer conn.Close()
			if err := p.handle(conn); err != nil {
				slog.Warn("connection failed", "protocol", p.protocol, "remote", conn.RemoteAddr().String(), "error", err.Error())
			}
		})
	}
}
