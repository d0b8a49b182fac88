package signature

import "github.com/tanpu/tanpu/rules/fault"

// A Reason says for programs why a signature does not stand.
type Reason string

// The closed list.
const (
	Unsigned      Reason = "unsigned"       // partners must sign, and this is not signed
	Malformed     Reason = "malformed"      // the headers cannot be read
	NotCovered    Reason = "not-covered"    // something that must be signed is not, or something is that cannot be checked
	OutsideWindow Reason = "outside-window" // created too long ago, or by a clock that is wrong
	WrongHost     Reason = "wrong-host"     // signed for another server
	UnknownKey    Reason = "unknown-key"
	RevokedKey    Reason = "revoked-key"
	BadSignature  Reason = "bad-signature" // not of this key, or not over this request
	RootDiffers   Reason = "root-differs"  // the claims are not those that were signed
)

// Reasons lists all of them.
var Reasons = []Reason{Unsigned, Malformed, NotCovered, OutsideWindow, WrongHost, UnknownKey, RevokedKey, BadSignature, RootDiffers}

// A Refusal is why a request is not taken for its partner's.
type Refusal struct {
	Reason Reason
	err    error
}

func (r *Refusal) Error() string { return r.err.Error() }
func (r *Refusal) Unwrap() error { return r.err }

// Refuse makes a refusal; the sentence is for the partner's engineer.
func Refuse(reason Reason, format string, args ...any) error {
	return &Refusal{reason, fault.New(fault.Unauthorized, format, args...)}
}
