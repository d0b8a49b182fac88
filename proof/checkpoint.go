package proof

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxSize is the size of the largest tree we believe in. Beyond 2^62 package tlog searches for a power of two that an int64
// does not have and never returns; and the numbers that tlog gives to stored hashes are about twice the size.
const MaxSize = 1 << 60

// maxText bounds a checkpoint's text, for it comes from strangers. Three lines need some hundred bytes.
const maxText = 64 << 10

// A Checkpoint is the head of a log at some size, without signatures.
type Checkpoint struct {
	Origin     string // names the log
	Size       int64  // so many leaves
	Root       tlog.Hash
	Extensions []string // further lines; they are signed, and nobody but the log vouches for what they say
}

// Text is the checkpoint as it is signed.
func (c Checkpoint) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
	for _, line := range c.Extensions {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// ParseCheckpoint reads a checkpoint's text, and only that of which Text would give back every byte: one head has one text.
func ParseCheckpoint(text string) (Checkpoint, error) {
	if len(text) > maxText {
		return Checkpoint{}, fmt.Errorf("a checkpoint of %d bytes, more than %d", len(text), maxText)
	}
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	switch {
	case !ended:
		return Checkpoint{}, errors.New("a checkpoint ends with a newline")
	case len(lines) < 3:
		return Checkpoint{}, errors.New("a checkpoint has at least three lines: origin, size, root")
	case slices.Contains(lines, ""):
		return Checkpoint{}, errors.New("a checkpoint has no empty line")
	case !utf8.ValidString(body) || slices.ContainsFunc(lines, hasControl):
		return Checkpoint{}, errors.New("a checkpoint is UTF-8 without control characters")
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = ParseSize(lines[1]); err != nil {
		return Checkpoint{}, fmt.Errorf("line 2 of a checkpoint: %w", err)
	}
	if c.Root, err = ParseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("line 3 of a checkpoint: %w", err)
	}
	if len(lines) > 3 {
		c.Extensions = lines[3:]
	}
	return c, nil
}

// OpenCheckpoint opens a signed checkpoint of the log called origin. At least one of the log's verifiers must have signed it,
// and none may have a signature in it that is wrong; signatures of others, witnesses say, are left unverified in the note.
// Where that is what is wrong, the error is a *note.UnverifiedNoteError or a *note.InvalidSignatureError.
func OpenCheckpoint(msg []byte, origin string, verifiers ...note.Verifier) (Checkpoint, *note.Note, error) {
	signed, err := note.Open(msg, note.VerifierList(verifiers...))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("opening a checkpoint of %q: %w", origin, err)
	}
	c, err := ParseCheckpoint(signed.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if c.Origin != origin {
		return Checkpoint{}, nil, fmt.Errorf("a checkpoint of %q, and not of %q", c.Origin, origin)
	}
	return c, signed, nil
}

// ParseSize reads a number of leaves: decimal, without leading zeros, at most MaxSize.
func ParseSize(text string) (int64, error) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != text || size < 0 || size > MaxSize {
		return 0, fmt.Errorf("%.40q is no size of a tree", text)
	}
	return size, nil
}

// ParseHash reads a hash in base64, in the one way to write it.
func ParseHash(text string) (tlog.Hash, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != tlog.HashSize || base64.StdEncoding.EncodeToString(raw) != text {
		return tlog.Hash{}, fmt.Errorf("%.60q is no hash in base64", text)
	}
	return tlog.Hash(raw), nil
}

// hasControl tells the characters that signed-note forbids in a note.
func hasControl(line string) bool {
	return strings.ContainsFunc(line, func(r rune) bool { return r < ' ' })
}
