package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// seen is the answer to most requests: the request as it has arrived.
type seen struct {
	Name     string      `json:"name"`
	Edition  string      `json:"edition"`
	Hostname string      `json:"hostname"` // the pod's name
	Method   string      `json:"method"`
	Host     string      `json:"host"`
	Path     string      `json:"path"`
	Query    url.Values  `json:"query"`
	Protocol string      `json:"protocol"`
	Headers  http.Header `json:"headers"`
	Remote   string      `json:"remote"`
	SNI      string      `json:"sni,omitempty"` // of TLS that ended here
}

// counted is what has arrived of an upload.
type counted struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// web answers by the end of the path, since what is before it belongs to the route that is tested:
//
//	/healthz /readyz (these as whole paths)   .../upload   .../download?bytes=N   .../slow?ms=N   .../status/<code>   .../ws
func (s *server) web() *http.Server {
	return &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: 10 * time.Second}
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		// Clients that keep connections learn of it now; a connection that closes while idle would cost a request.
		w.Header().Set("Connection", "close")
	}
	parent, last := path.Split(r.URL.Path)
	switch {
	case r.URL.Path == "/healthz":
		io.WriteString(w, "ok\n")
	case r.URL.Path == "/readyz" && s.draining.Load():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case r.URL.Path == "/readyz":
		io.WriteString(w, "ok\n")
	case last == "upload":
		upload(w, r)
	case last == "download":
		download(w, r)
	case last == "slow":
		s.slow(w, r)
	case last == "ws":
		s.talk(w, r)
	case path.Base(parent) == "status":
		s.withStatus(w, r, last)
	default:
		s.reflect(w, r, http.StatusOK)
	}
}

func (s *server) reflect(w http.ResponseWriter, r *http.Request, status int) {
	answer := seen{
		Name: s.name, Edition: s.edition, Hostname: s.hostname,
		Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.Query(),
		Protocol: r.Proto, Headers: r.Header, Remote: r.RemoteAddr,
	}
	if r.TLS != nil {
		answer.SNI = r.TLS.ServerName
	}
	writeJSON(w, status, answer)
}

func (s *server) withStatus(w http.ResponseWriter, r *http.Request, text string) {
	code, err := strconv.Atoi(text)
	if err != nil || code < 200 || code > 599 {
		http.Error(w, "status/<code> takes 200 to 599", http.StatusBadRequest)
		return
	}
	if code == http.StatusNoContent || code == http.StatusNotModified {
		w.WriteHeader(code) // these have no body
		return
	}
	s.reflect(w, r, code)
}

func (s *server) slow(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, r, "ms")
	if !ok {
		return
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		s.reflect(w, r, http.StatusOK)
	case <-r.Context().Done():
	}
}

func upload(w http.ResponseWriter, r *http.Request) {
	digest := sha256.New()
	bytes, err := io.Copy(digest, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, total(bytes, digest))
}

func download(w http.ResponseWriter, r *http.Request) {
	bytes, ok := number(w, r, "bytes")
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(bytes, 10))
	if err := writePattern(w, bytes); err != nil {
		slog.Warn("download failed", "remote", r.RemoteAddr, "error", err.Error())
	}
}

// talk sends each websocket message back as it came.
func (s *server) talk(w http.ResponseWriter, r *http.Request) {
	// Browsers' origins do not matter here; tests reach it under many names.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	s.open.Add(1)
	defer s.open.Done()
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for {
		kind, message, err := conn.Read(r.Context())
		if err == nil {
			err = conn.Write(r.Context(), kind, message)
		}
		if err != nil {
			if websocket.CloseStatus(err) == -1 {
				slog.Warn("websocket failed", "remote", r.RemoteAddr, "error", err.Error())
			}
			return // a close frame is answered already
		}
	}
}

func number(w http.ResponseWriter, r *http.Request, name string) (int64, bool) {
	value, err := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
	if err != nil || value < 0 {
		http.Error(w, "the query needs "+name+"=<a number from 0 on>", http.StatusBadRequest)
		return 0, false
	}
	return value, true
}

func total(bytes int64, digest hash.Hash) counted {
	return counted{bytes, hex.EncodeToString(digest.Sum(nil))}
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}
