package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const farewell = 5 * time.Second // how long a client may take to close after our last byte

// closeWriter is what *net.TCPConn and *tls.Conn both are: our end of input is sent, the peer may still send.
type closeWriter interface{ CloseWrite() error }

// echoBytes returns at the end of input, when all of it was sent back.
func echoBytes(conn net.Conn) error {
	if _, err := io.Copy(conn, conn); err != nil {
		return err
	}
	return end(conn)
}

func sinkBytes(conn net.Conn) error {
	digest := sha256.New()
	bytes, err := io.Copy(digest, conn)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(total(bytes, digest)); err != nil {
		return err
	}
	return end(conn)
}

func sourceBytes(conn net.Conn) error {
	line, err := bufio.NewReader(io.LimitReader(conn, 32)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the first line: %w", err)
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil || bytes < 0 {
		return fmt.Errorf("the first line is %q, not a number of bytes", line)
	}
	if err := writePattern(conn, bytes); err != nil {
		return err
	}
	return end(conn)
}

func (s *server) sayHello(conn net.Conn) error {
	if _, err := io.WriteString(conn, s.name+"\n"); err != nil {
		return err
	}
	return end(conn)
}

// end says that nothing more comes, and waits for the client's end: closing with input unread would send a reset,
// which may overtake our last bytes.
func end(conn net.Conn) error {
	if err := conn.(closeWriter).CloseWrite(); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(farewell))
	io.Copy(io.Discard, conn)
	return nil
}
