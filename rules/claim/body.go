package claim

import (
	"strconv"
	"strings"
)

// ParseBody reads what Body wrote into the fields of a claim that it tells of. It reports false for any
// other text, be it the same thing said otherwise.
func ParseBody(c *Claim, body string) bool {
	c.Act, c.Commitment, c.Evidence, c.Object, c.Region, c.Quantities = "", "", "", "", "", nil
	if body == "{}" {
		return true
	}
	last := "" // names come in order, each once
	rest, ok := object(body, func(name, rest string) (string, bool) {
		if name <= last {
			return "", false
		}
		last = name
		if name == "quantities" {
			return object(rest, func(name, rest string) (string, bool) {
				text, rest, ok := quoted(rest)
				c.Quantities = append(c.Quantities, Quantity{Name: name, Text: text})
				return rest, ok && len(c.Quantities) <= MaxQuantities
			})
		}
		text, rest, ok := quoted(rest)
		return rest, ok && text != "" && c.setBody(name, text)
	})
	return ok && rest == ""
}

// setBody sets one of the texts in a body.
func (c *Claim) setBody(name, text string) bool {
	switch name {
	case "act":
		c.Act = text
	case "commitment":
		c.Commitment = text
	case "evidence":
		c.Evidence = text
	case "object":
		c.Object = text
	case "region":
		c.Region = text
	default:
		return false
	}
	return true
}

// object reads a JSON object of at least one member; value reads what stands after a name.
func object(s string, value func(name, rest string) (string, bool)) (rest string, ok bool) {
	for sep := "{"; ; sep = "," {
		if !strings.HasPrefix(s, sep) {
			return "", false
		}
		name, rest, ok := quoted(s[1:])
		if !ok || !strings.HasPrefix(rest, ":") {
			return "", false
		}
		if s, ok = value(name, rest[1:]); !ok {
			return "", false
		}
		if strings.HasPrefix(s, "}") {
			return s[1:], true
		}
	}
}

// quoted reads the string that s begins with, if it is written as appendString would. Strings without
// escapes stay where they are.
func quoted(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	escaped := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ':
			return "", "", false
		case c == '\\':
			escaped = true
			i++
		case c == '"' && !escaped:
			return s[1:i], s[i+1:], true
		case c == '"':
			text, err := strconv.Unquote(s[:i+1]) // the escapes of RFC 8785 are Go's as well
			return text, s[i+1:], err == nil && string(appendString(nil, text)) == s[:i+1]
		}
	}
	return "", "", false
}
