// Word count in Go, in the buffer contract: `alloc` makes room for the event, `handle` answers.
package main

import (
	"bytes"
	"fmt"
	"unsafe"
)

// What the host reads or writes must stay where it is, out of the garbage collector's reach.
var event, reply []byte

// Room for an event of `size` bytes.
//
//go:wasmexport alloc
func alloc(size uint32) unsafe.Pointer {
	event = make([]byte, size)
	return unsafe.Pointer(unsafe.SliceData(event))
}

// The reply's address in the upper half, its length in the lower.
//
//go:wasmexport handle
func handle(at unsafe.Pointer, size uint32) uint64 {
	lines := bytes.Count(event, []byte("\n"))
	words := bytes.FieldsFunc(event, func(c rune) bool { return c == ' ' || '\t' <= c && c <= '\r' })
	reply = fmt.Appendf(nil, `{"lines":%d,"words":%d,"bytes":%d}`, lines, len(words), len(event))
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(reply))))<<32 | uint64(len(reply))
}

// Never called: the runtime starts in `_initialize`, once, before the image is captured.
func main() {}
