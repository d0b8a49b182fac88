// Package fault marks the errors that a person or a caller can do something about.
// An error without a mark is a bug or an outage: it is logged and shown as "internal error".
package fault

import (
	"errors"
	"fmt"
)

// A Kind says whose move it is. The API maps each kind to one HTTP status.
type Kind string

const (
	Invalid      Kind = "invalid"      // the request or document cannot be read; mend it
	Unfit        Kind = "unfit"        // can be read, but is not what was asked for; mend it
	Unauthorized Kind = "unauthorized" // no key, or a key we do not know
	Forbidden    Kind = "forbidden"    // a key that may not do this
	NotFound     Kind = "not-found"
	Gone         Kind = "gone"     // was here, and was erased for good
	Conflict     Kind = "conflict" // contradicts what is recorded
	TooLarge     Kind = "too-large"
	Busy         Kind = "busy"        // nothing was done; try again later
	Unavailable  Kind = "unavailable" // could not be done now; try again
)

// An Error is a Kind and a sentence for a person.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

// New returns an error of the given kind; the sentence follows fmt.Sprintf.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf finds the mark in err's chain, and "" where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
