// Package document reads the texts that people write for the platform: strict YAML, where every value
// knows its line and column, so that a mistake is reported where it stands, in a sentence that helps.
//
// A reader takes what it wants from a Value and goes on when something is wrong; all mistakes are
// collected and reported together, since nobody likes to mend a file one error at a time.
package document

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds on a document. An expert's text is some kilobytes and five levels deep.
const (
	MaxSize   = 1 << 20
	maxDepth  = 16
	maxErrors = 50
)

// An Error is a mistake at a place. Line and Column count from 1, in characters.
type Error struct {
	File         string
	Line, Column int
	Message      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Errors are all the mistakes of a document, in order of place.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// A Doc is a document being read and the mistakes found so far.
type Doc struct {
	file  string
	lines []string
	errs  Errors
}

// Err returns all mistakes found, nil if there are none.
func (d *Doc) Err() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if len(d.errs) > maxErrors {
		d.errs = d.errs[:maxErrors]
	}
	return d.errs
}

// full reports whether so much is wrong that more would help nobody.
func (d *Doc) full() bool { return len(d.errs) >= 10*maxErrors }

func (d *Doc) errorf(line, column int, format string, args ...any) {
	if d.full() {
		return
	}
	d.errs = append(d.errs, &Error{d.file, max(line, 1), max(column, 1), fmt.Sprintf(format, args...)})
}

// Read opens a text that must be one YAML mapping. Where it cannot be read at all, the Value is absent
// and the Doc says why.
func Read(file string, body []byte) (*Doc, Value) {
	d := &Doc{file: file}
	if len(body) > MaxSize {
		d.errorf(1, 1, "this file is larger than 1 MiB; split it")
		return d, Value{}
	}
	hash := sha256.Sum256(body)
	if t, ok := known.find(hash); ok {
		d.lines = t.lines
		return d, Value{d, t.root}
	}
	if line, column, what := unreadable(body); what != "" {
		d.errorf(line, column, "%s", what)
		return d, Value{}
	}
	d.lines = strings.Split(string(body), "\n")
	root := d.parse(body)
	if root == nil || !d.check(root, 0) {
		return d, Value{}
	}
	v := Value{d, root}
	if root.Kind != yaml.MappingNode {
		v.Errorf("a document is made of lines such as “id: …”")
		return d, Value{}
	}
	if len(d.errs) == 0 {
		known.keep(hash, text{d.lines, root}, len(body))
	}
	return d, v
}

// unreadable finds the first character that YAML does not allow, and says what is wrong with it.
func unreadable(text []byte) (line, column int, what string) {
	line, column = 1, 1
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return line, column, "this is not UTF-8; save the file as UTF-8"
		case r == '\ufeff' && i == 0: // a mark that some editors leave
		case r == '\ufeff' || r < ' ' && r != '\t' && r != '\n' && r != '\r' || 0x7f <= r && r <= 0x9f:
			return line, column, fmt.Sprintf("an invisible character, %U; take it out", r)
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		i += n
	}
	return 0, 0, ""
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parse returns the root node, or nil when it has reported why there is none.
func (d *Doc) parse(text []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	node, err := decode(dec)
	if errors.Is(err, io.EOF) {
		d.errorf(1, 1, "this file is empty")
		return nil
	}
	if err != nil {
		d.syntax(err)
		return nil
	}
	switch second, err := decode(dec); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
		return nil
	default:
		d.errorf(second.Line, second.Column, "a second document begins here; a file holds one")
		return nil
	}
	if len(node.Content) != 1 {
		d.errorf(1, 1, "this file is empty")
		return nil
	}
	return node.Content[0]
}

// decode reads the next YAML document. A panic in the YAML reader, which has had some, is an error
// here: the texts come from strangers, and the server must outlive them.
func decode(dec *yaml.Decoder) (node *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	node = new(yaml.Node)
	return node, dec.Decode(node)
}

// syntax reports what the YAML reader could not read. It names a line only.
func (d *Doc) syntax(err error) {
	match := yamlLine.FindStringSubmatch(err.Error())
	line, message := 1, err.Error()
	if match != nil {
		message = message[len(match[0]):]
		if n, err := strconv.Atoi(match[1]); err == nil {
			line = min(n, len(d.lines))
		}
	}
	if name, found := strings.CutPrefix(message, "unknown anchor '"); found {
		name, _, _ = strings.Cut(name, "'")
		if line, column := d.find("*" + name); line > 0 {
			d.errorf(line, column, "*%s: an alias; write the value out, so that the text says all that it means", name)
			return
		}
	}
	if strings.HasPrefix(message, "did not find expected") {
		line = min(line+1, len(d.lines)) // of this kind of error the reader counts the lines from 0
	}
	column := 1 + utf8.RuneCountInString(d.lines[line-1]) - utf8.RuneCountInString(strings.TrimLeft(d.lines[line-1], " \t\r"))
	d.errorf(line, column, "near this line the YAML cannot be read: %s", message)
}

// find returns where a text first stands.
func (d *Doc) find(text string) (line, column int) {
	for i, l := range d.lines {
		if j := strings.Index(l, text); j >= 0 {
			return i + 1, 1 + utf8.RuneCountInString(l[:j])
		}
	}
	return 0, 0
}

// check refuses what makes a text mean something else than it seems to: anchors and aliases, tags,
// keys given twice, and bottomless nesting. It reports whether the document can be read on.
func (d *Doc) check(n *yaml.Node, depth int) bool {
	v := Value{d, n}
	switch {
	case depth > maxDepth:
		v.Errorf("this is nested more than %d deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode:
		v.Errorf("*%s: an alias; write the value out, so that the text says all that it means", n.Value)
		return false
	case n.Anchor != "":
		v.Errorf("&%s: an anchor; write the value out where it is needed", n.Anchor)
		return false
	case n.Style&yaml.TaggedStyle != 0:
		v.Errorf("%s: a tag; leave it out", n.Tag)
		return false
	}
	ok := true
	for _, child := range n.Content {
		ok = d.check(child, depth+1) && ok
	}
	if n.Kind == yaml.MappingNode {
		ok = d.checkKeys(n) && ok
	}
	return ok
}

func (d *Doc) checkKeys(n *yaml.Node) bool {
	ok := true
	first := map[string]*yaml.Node{}
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			Value{d, key}.Errorf("a key must be a name")
			ok = false
			continue
		}
		if was := first[key.Value]; was != nil {
			Value{d, key}.Errorf("%q is here a second time; the first is on line %d", key.Value, was.Line)
			continue
		}
		first[key.Value] = key
	}
	return ok
}
