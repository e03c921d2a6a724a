package main

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// The pattern is made of blocks of 64 KiB: the number of the block in 8 bytes, big endian, then what the first block of
// SHA-256(0), SHA-256(1), ... (each number in 8 bytes, big endian) has at that place. Lost, doubled and exchanged parts
// are seen by comparing, and it is made as fast as it is sent. testbed/images/pattern.py makes the same.
const blockBytes = 64 << 10

func writePattern(w io.Writer, bytes int64) error {
	var block []byte
	for i := uint64(0); len(block) < blockBytes; i++ {
		digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
		block = append(block, digest[:]...)
	}
	for number := uint64(0); bytes > 0; number++ {
		binary.BigEndian.PutUint64(block, number)
		part := block[:min(bytes, blockBytes)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		bytes -= int64(len(part))
	}
	return nil
}
