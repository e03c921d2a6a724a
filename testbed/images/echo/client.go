package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const pauseBetweenTries = 100 * time.Millisecond

// client is what the flags of ask say.
type client struct {
	text          string
	stdin, secure bool
	tls           *tls.Config
}

// ask does one request after the other and prints the answers. It returns the exit status for when all went well.
func ask(ctx context.Context, arguments []string) (int, error) {
	var c client
	flags := flag.NewFlagSet("echo ask", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "echo ask [flags] <URL or host:port> ...  a URL gets GET, host:port gets --text and the end of input")
		flags.PrintDefaults()
	}
	flags.StringVar(&c.text, "text", "hello\n", "what is sent to host:port")
	flags.BoolVar(&c.stdin, "stdin", false, "send standard input to host:port instead")
	flags.BoolVar(&c.secure, "tls", false, "speak TLS to host:port")
	deadline := flags.Duration("deadline", 10*time.Second, "for all requests with all their tries")
	retry := flags.Bool("retry", false, "try each request again until the deadline")
	calls := flags.Bool("grpc", false, "call gRPC's health service at host:port by TLS")
	hold := flags.Duration("hold", 0, "with --grpc, how long a stream must then stay open")
	status := flags.Int("status", 0, "exit status if all went well")
	ca := flags.String("ca", "", "file with the authorities to trust, instead of the Web's")
	name := flags.String("server-name", "", "name to ask for and to verify in TLS, instead of the host's")
	cert := flags.String("cert", "", "file with the client's certificates")
	key := flags.String("key", "", "file with the client's private key")
	_ = flags.Parse(arguments) // exits
	if flags.NArg() == 0 || (c.stdin && (*retry || flags.NArg() > 1)) {
		misuse("echo ask: name what to ask, after the flags; --stdin can be sent once only")
	}
	var err error
	if c.tls, err = tlsConfig(*ca, *name, *cert, *key); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, *deadline)
	defer cancel()
	for _, target := range flags.Args() {
		do := c.exchange
		if strings.Contains(target, "://") {
			do = c.get
		}
		if *calls {
			do = func(ctx context.Context, target string) error { return c.call(ctx, target, *hold) }
		}
		if err := try(ctx, *retry, func() error { return do(ctx, target) }); err != nil {
			return 0, err
		}
	}
	return *status, nil
}

// try does something once, or again and again until it succeeds or the context's deadline has passed.
func try(ctx context.Context, again bool, do func() error) error {
	deadline, _ := ctx.Deadline()
	err := do()
	for err != nil && again {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pauseBetweenTries):
		}
		next := do()
		// One that was cut short by the deadline says less than the one before it. The clock is asked, since the
		// network's timer may ring before the context's.
		if next != nil && !time.Now().Before(deadline) {
			return err
		}
		err = next
	}
	return err
}

func tlsConfig(ca, name, cert, key string) (*tls.Config, error) {
	config := &tls.Config{ServerName: name}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// get asks a URL and prints the answer; anything but 2xx is a failure, a redirect too.
func (c *client) get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: c.tls, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return fmt.Errorf("%s answers %s: %s", url, answer.Status, strings.TrimSpace(string(text)))
	}
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

// exchange sends the text and the end of input, and prints the answer until its end. An answer of no bytes is a
// failure: so it looks when a proxy has closed the connection.
func (c *client) exchange(ctx context.Context, address string) error {
	var dialer interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	} = &net.Dialer{}
	if c.secure {
		dialer = &tls.Dialer{Config: c.tls}
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var input io.Reader = strings.NewReader(c.text)
	if c.stdin {
		input = os.Stdin
	}
	go func() {
		// A failure here is one of the connection; reading reports it too.
		_, _ = io.Copy(conn, input)
		_ = conn.(closeWriter).CloseWrite()
	}()
	bytes, err := io.Copy(os.Stdout, conn)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w after %d bytes", address, ctx.Err(), bytes)
	case err != nil:
		return fmt.Errorf("%s: %w", address, err)
	case bytes == 0:
		return fmt.Errorf("%s closed the connection without an answer", address)
	}
	return nil
}
