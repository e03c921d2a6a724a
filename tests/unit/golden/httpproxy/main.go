// Writes table.json: what golang.org/x/net/http/httpproxy answers for entries of NO_PROXY and for forms of HTTPS_PROXY.
//
//	cd tests/unit/golden/httpproxy && go run . > table.json
package main

import (
	"encoding/json"
	"net/url"
	"os"

	"golang.org/x/net/http/httpproxy"
)

var servers = []string{
	"https://api.example.com:6443", "https://api.example.com", "https://example.com", "https://example.com:8443",
	"https://badexample.com", "https://API.Example.COM", "https://example.com.", "https://a.b.example.com:443",
	"http://api.example.com", "http://api.example.com:443", "https://kubernetes", "https://kubernetes.default.svc",
	"https://localhost:6443", "https://LOCALHOST", "https://localhost.", "https://app.localhost", "https://127.0.0.1",
	"https://127.8.9.1:6443", "https://[::1]:6443", "https://[::ffff:127.0.0.1]", "https://0.0.0.0",
	"https://10.96.0.1", "https://10.96.0.1:6443", "https://10.97.0.1", "https://[::ffff:10.96.0.1]:6443",
	"https://[fd00::1]", "https://[fd00::1]:6443", "https://[FD00::1]:6443", "https://[fd00:0:0::1]",
	"https://[fe80::1%25eth0]:6443", "https://[fe80::1]:6443", "https://bücher.example", "https://xn--bcher-kva.example",
	"https://user:secret@api.example.com", "https://192.168.1.20:443",
}

var noProxies = []string{
	"", "*", "*,other", " * ", "example.com", ".example.com", "*.example.com", "EXAMPLE.com", " example.com ,other",
	"api.example.com:6443", "example.com:6443", "example.com:443", ".example.com:443", "*.example.com:6443",
	"example.com:", "example.com:80", ":443", "other,,example.com", "other example.com", "example.com;other",
	"com", ".com", "example.com.", "*example.com", "*.", ".", "https://api.example.com", "example.com/", "api.*",
	"localhost", ".localhost", "svc", ".svc", "kubernetes", "kubernetes.default.svc:443",
	"10.96.0.1", "10.96.0.1:6443", "10.96.0.1:443", "10.96.0.1/32", "10.96.0.0/16", "10.96.0.1/16", "10.0.0.0/8",
	"10.96.0.0/255.255.0.0", "10.96.0.0/016", "10.96.0.0/33", "10.96.0.0/-1", "10.96.0.0/", "10/8", "10.96.", "10.96",
	"010.96.0.1", "10.96.0.1, fd00::1", "0.0.0.0/0", "::/0", "*:443",
	"fd00::1", "[fd00::1]", "[fd00::1]:6443", "[fd00::1]:443", "fd00::/8", "[fd00::]/8", "[fd00::/8]", "FD00::1",
	"fd00:0:0:0:0:0:0:1", "fd00::1:6443", "::ffff:10.96.0.1", "::ffff:10.96.0.0/112", "::ffff:0:0/96",
	"fe80::1%eth0", "fe80::1", "[fe80::1%eth0]:6443", "fe80::/10", "127.0.0.1", "::1",
	"bücher.example", "xn--bcher-kva.example", ".bücher.example", "192.168.0.0/16,10.0.0.0/8,.svc,.cluster.local",
}

var proxies = []string{
	"http://proxy:3128", "proxy:3128", "proxy", "10.0.0.1:3128", "https://proxy", "HTTP://proxy:1", "http://u:p@proxy:1",
	"u:p@proxy:1", "[fd00::9]:3128", "http://[fd00::9]:3128", "http://proxy:3128/",
}

type row struct {
	NoProxy string `json:"noProxy"`
	// Direct has the servers that are reached without the proxy.
	Direct []string `json:"direct"`
}

func main() {
	table := struct {
		Servers []string          `json:"servers"`
		Rows    []row             `json:"rows"`
		Proxies map[string]string `json:"proxies"`
	}{Servers: servers, Proxies: map[string]string{}}
	for _, noProxy := range noProxies {
		proxy := (&httpproxy.Config{HTTPProxy: "http://p:1", HTTPSProxy: "http://p:1", NoProxy: noProxy}).ProxyFunc()
		direct := []string{}
		for _, server := range servers {
			if ask(proxy, server) == "" {
				direct = append(direct, server)
			}
		}
		table.Rows = append(table.Rows, row{noProxy, direct})
	}
	for _, text := range proxies {
		table.Proxies[text] = ask((&httpproxy.Config{HTTPSProxy: text}).ProxyFunc(), servers[0])
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	if err := out.Encode(table); err != nil {
		panic(err)
	}
}

func ask(proxy func(*url.URL) (*url.URL, error), server string) string {
	parsed, err := url.Parse(server)
	if err != nil {
		panic(err)
	}
	found, err := proxy(parsed)
	if err != nil {
		panic(err)
	}
	if found == nil {
		return ""
	}
	return found.String()
}
