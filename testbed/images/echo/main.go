// Echo is the app of the end-to-end tests: it reports what has reached it, so that a test can see which App answered, by which
// way, and whether all bytes arrived. As a client it asks from inside of a pod, or as a Job.
//
//	echo serve --listen http:8080 --listen tls+hello:9443 --cert tls.crt --key tls.key
//	echo ask --retry https://foo.example.net/web localhost:9000
//	echo ask --grpc --hold 20s --server-name foo.example.net 192.0.2.1:443
//
// Exit status: 0 for success (or what --status says), 1 for a failure, 2 for wrong arguments.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	// The first signal ends the context, a second one the process.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, cancel)
	command, arguments := "", os.Args[1:]
	if len(arguments) > 0 {
		command, arguments = arguments[0], arguments[1:]
	}
	var status int
	var err error
	switch command {
	case "serve":
		err = serve(ctx, arguments)
	case "ask":
		status, err = ask(ctx, arguments)
	default:
		misuse("usage: echo serve|ask [flags]; see echo serve -h and echo ask -h")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "echo %s: %v\n", command, err)
		status = 1
	}
	os.Exit(status)
}

func misuse(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(2)
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}
