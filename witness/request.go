package witness

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// maxProof is the number of hashes that a proof may have (tlog-witness, add-checkpoint). Trees of 2^63 leaves need no more.
const maxProof = 63

// A Request is the body of add-checkpoint.
type Request struct {
	Old        int64       // the size of the last head that the witness signed, 0 before the first
	Proof      []tlog.Hash // that the checkpoint extends it
	Checkpoint []byte      // signed by the log
}

// Text is the request as it is sent.
func (r Request) Text() []byte {
	text := fmt.Appendf(nil, "old %d\n", r.Old)
	for _, hash := range r.Proof {
		text = append(text, hash.String()+"\n"...)
	}
	text = append(text, '\n')
	return append(text, r.Checkpoint...)
}

// ParseRequest reads a request, and only that of which Text would give back every byte. It does not look into the checkpoint.
func ParseRequest(text []byte) (Request, error) {
	before, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return Request{}, fault.New(fault.Invalid, "there is no empty line before the checkpoint")
	}
	lines := strings.Split(string(before), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	if !ok {
		return Request{}, fault.New(fault.Invalid, "line 1 is not the old size, such as: old 42")
	}
	r := Request{Checkpoint: checkpoint}
	var err error
	if r.Old, err = proof.ParseSize(size); err != nil {
		return Request{}, fault.New(fault.Invalid, "line 1: %v", err)
	}
	if len(lines)-1 > maxProof {
		return Request{}, fault.New(fault.Invalid, "a proof of %d lines, more than %d", len(lines)-1, maxProof)
	}
	for i, line := range lines[1:] {
		hash, err := proof.ParseHash(line)
		if err != nil {
			return Request{}, fault.New(fault.Invalid, "line %d: %v", i+2, err)
		}
		r.Proof = append(r.Proof, hash)
	}
	return r, nil
}
