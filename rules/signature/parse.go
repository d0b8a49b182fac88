package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// The headers are read by RFC 8941, in the one form in which it serialises them, and of that only what the profile
// has: what two readers could understand differently must not decide who said something.
const (
	maxHeader    = 1024
	maxBase      = 4 * maxHeader
	maxCovered   = 8
	maxParameter = 128 // bytes of a text
)

// parseInput reads a Signature-Input with one member.
func parseInput(header string) (label string, in *Input, err error) {
	if len(header) > maxHeader {
		return "", nil, malformedInput("it has more than %d bytes", maxHeader)
	}
	label, rest, ok := scanLabel(header)
	if !ok {
		return "", nil, malformedInput(`it begins with a name of your choosing: sig1=("@method" …)`)
	}
	in, err = parseParams(rest)
	return label, in, err
}

// parseParams reads the inner list of components with its parameters.
func parseParams(text string) (*Input, error) {
	in := &Input{text: text}
	rest, ok := strings.CutPrefix(text, "(")
	if !ok {
		return nil, malformedInput(`the covered components stand in brackets: ("@method" …)`)
	}
	for !strings.HasPrefix(rest, ")") {
		if len(in.Covered) > 0 {
			if rest, ok = strings.CutPrefix(rest, " "); !ok {
				return nil, malformedInput("components are parted by one space, and have no parameters")
			}
		}
		var c string
		if c, rest, ok = scanString(rest); !ok || c == "" {
			return nil, malformedInput(`a component is a name in quotes, such as "@method"`)
		}
		if slices.Contains(in.Covered, c) || len(in.Covered) == maxCovered {
			return nil, malformedInput("a component is covered once, and up to %d are", maxCovered)
		}
		in.Covered = append(in.Covered, c)
	}
	if err := in.parameters(rest[1:]); err != nil {
		return nil, err
	}
	return in, nil
}

// parameters reads what stands after the list: ;created=1618884473;keyid="…".
func (in *Input) parameters(rest string) error {
	seen := map[string]bool{}
	for rest != "" {
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, ";"), "=")
		if !ok || rest[0] != ';' {
			return malformedInput(`parameters stand after the list, such as ;created=1618884473;keyid="…", and nothing after them`)
		}
		if seen[name] {
			return malformedInput("%s stands there twice", shown(name))
		}
		seen[name] = true
		switch name {
		case "created":
			in.Created, rest, ok = scanSeconds(after)
		case "expires":
			in.Expires, rest, ok = scanSeconds(after)
		case "keyid":
			in.KeyID, rest, ok = scanString(after)
		case "alg":
			in.Alg, rest, ok = scanString(after)
		case "nonce":
			in.Nonce, rest, ok = scanString(after)
		default:
			return malformedInput("parameters are created, expires, keyid, alg and nonce, not %s", shown(name))
		}
		if !ok {
			return malformedInput("%s cannot be read: times are whole seconds, texts stand in quotes", name)
		}
	}
	switch {
	case !seen["created"]:
		return malformedInput("created is missing: when the signature was made, in seconds since 1970")
	case !seen["keyid"]:
		return malformedInput("keyid is missing: it names your key as it was registered")
	case seen["alg"] && in.Alg != algorithm:
		return malformedInput("alg is %s, and signatures are of %s", shown(in.Alg), algorithm)
	}
	return nil
}

// parseSignature reads a Signature whose one member has this label.
func parseSignature(header, label string) ([]byte, error) {
	bad := func(format string, args ...any) error { return Refuse(Malformed, SignatureHeader+": "+format, args...) }
	if len(header) > maxHeader {
		return nil, bad("it has more than %d bytes", maxHeader)
	}
	name, rest, ok := scanLabel(header)
	if !ok || name != label {
		return nil, bad("it has the same name as in %s: %s=:…:", InputHeader, label)
	}
	b, ok := parseBinary(rest, ed25519.SignatureSize)
	if !ok {
		return nil, bad("want the %d bytes of an Ed25519 signature in base64 between colons, and no other signature", ed25519.SignatureSize)
	}
	return b, nil
}

func malformedInput(format string, args ...any) error {
	return Refuse(Malformed, InputHeader+": "+format, args...)
}

// scanLabel reads the key of a dictionary's member, and its equals sign.
func scanLabel(s string) (label, rest string, ok bool) {
	label, rest, ok = strings.Cut(s, "=")
	if !ok || label == "" || len(label) > 64 {
		return "", s, false
	}
	for i, c := range []byte(label) {
		lower := 'a' <= c && c <= 'z' || c == '*'
		if !lower && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-' && c != '.') {
			return "", s, false
		}
	}
	return label, rest, true
}

// scanString reads a string without escapes, which nothing here needs.
func scanString(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	for i := 1; i < len(s) && i <= maxParameter+1; i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], s[i+1:], true
		case c < ' ' || c > '~' || c == '\\':
			return "", s, false
		}
	}
	return "", s, false
}

// scanSeconds reads a time: RFC 8941 allows integers of 15 digits.
func scanSeconds(s string) (n int64, rest string, ok bool) {
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	if end == 0 || end > 15 || s[0] == '0' {
		return 0, s, false
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	return n, s[end:], err == nil
}

// parseBinary reads a byte sequence of so many bytes, in its one form.
func parseBinary(s string, size int) ([]byte, bool) {
	s, ok := strings.CutPrefix(s, ":")
	if !ok {
		return nil, false
	}
	s, ok = strings.CutSuffix(s, ":")
	if !ok || len(s) != base64.StdEncoding.EncodedLen(size) {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) == size
}

// shown cuts what a stranger sent to what can stand in a sentence.
func shown(s string) string { return strconv.QuoteToASCII(s[:min(len(s), 40)]) }
