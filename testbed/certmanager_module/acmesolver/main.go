// Program acmesolver is what cert-manager's pods run to answer HTTP-01: its own server, with the same arguments. Its main
// package is a module of its own that is not served.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/go-logr/logr/funcr"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
)

func main() {
	server := &solver.HTTP01Solver{}
	flag.IntVar(&server.ListenPort, "listen-port", 8089, "the port")
	flag.StringVar(&server.Domain, "domain", "", "the name that is checked")
	flag.StringVar(&server.Token, "token", "", "the last part of the path")
	flag.StringVar(&server.Key, "key", "", "the content")
	flag.Parse()
	log := funcr.New(func(prefix, args string) { fmt.Println(prefix, args) }, funcr.Options{})
	if err := server.Listen(log); err != nil {
		fmt.Fprintln(os.Stderr, "acmesolver:", err)
		os.Exit(1)
	}
}
