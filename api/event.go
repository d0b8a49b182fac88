package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
)

// A form is one of the ways in which CloudEvents 1.0 come as JSON.
type form int

const (
	single form = iota // application/cloudevents+json
	batch              // application/cloudevents-batch+json: an array
	lines              // application/x-ndjson: one event after another
)

// An EventError says what is wrong with one event of a request, and where.
type EventError struct {
	Event   int    // its place in the request, from 0
	Pointer string // into the event (RFC 6901); "" is the event itself
	Err     error  // carries the fault.Kind: Invalid is no CloudEvent, Unfit is one but no claim
}

func (e *EventError) Error() string {
	if e.Pointer == "" {
		return fmt.Sprintf("event %d: %s", e.Event, e.Err)
	}
	return fmt.Sprintf("event %d, %s: %s", e.Event, e.Pointer, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }

const maxAttributes = 64 // of one event; CloudEvents knows nine, the rest are extensions

// decodeClaims reads the events in body, at most limit, or says what is wrong with the first that it
// cannot take. Names that stand twice in an object, invalid UTF-8 and unknown members of the data are
// errors: what two readers could understand differently must not decide about anybody's credit.
// The claims do not alias body.
func decodeClaims(body []byte, f form, limit int) ([]claim.Claim, error) {
	d := &decoder{
		dec:   jsontext.NewDecoder(bytes.NewBuffer(body)),
		words: make(map[string]string),
	}
	// Most events are longer than 256 bytes; a guess too low costs one more copy.
	claims := make([]claim.Claim, 0, min(limit, len(body)/256+1))
	if f == batch {
		if d.dec.PeekKind() != '[' {
			return nil, d.unexpected("an array of events")
		}
		d.dec.ReadToken()
		d.inArray = true
	}
	for ; ; d.event++ {
		switch end, err := d.end(f); {
		case err != nil:
			return nil, err
		case end && d.noClaim != nil:
			return nil, d.noClaim
		case end:
			return claims, nil
		case d.event == limit:
			return nil, fault.New(fault.TooLarge, "a request may carry up to %d events: send the rest in another", limit)
		}
		claims = append(claims, claim.Claim{})
		if err := d.decode(&claims[d.event]); err != nil {
			return nil, err
		}
	}
}

// A decoder reads the events of one request.
type decoder struct {
	dec     *jsontext.Decoder
	event   int    // the one being read
	inArray bool   // whether pointers begin with the event's index
	within  string // the pointer at which dec's input stands in the event, when that is not the event

	noClaim error // about the first event that is one but no claim; a later one that is no event comes first

	words  map[string]string // short texts that recur from event to event, kept once
	source string            // the last source found to be a URI reference
	buf    []byte            // for texts with escapes
}

// end reports whether the input is used up, or for an array of events that it is closed and nothing follows.
func (d *decoder) end(f form) (bool, error) {
	switch f {
	case single:
		if d.event == 0 {
			return false, nil
		}
	case batch:
		if d.dec.PeekKind() != ']' {
			return false, nil
		}
		d.dec.ReadToken()
		d.inArray = false
	}
	if d.dec.PeekKind() != jsontext.KindInvalid {
		if f == lines {
			return false, nil
		}
		return false, d.invalid("something follows the end of the JSON text")
	}
	if _, err := d.dec.ReadToken(); err != io.EOF {
		return false, d.syntax(err)
	}
	return true, nil
}

// Attributes of the envelope that an event has, as bits.
const (
	hasSpecversion = 1 << iota
	hasID
	hasType
	hasSource
	hasSubject
	hasData
	hasBase64
)

// decode reads one event into c. What makes it no CloudEvent comes before what makes it no claim, as far
// as the two do not stand in one place.
func (d *decoder) decode(c *claim.Claim) error {
	if d.dec.PeekKind() != '{' {
		return d.unexpected("an object")
	}
	d.dec.ReadToken()
	var (
		has       int
		eventType string
		unread    jsontext.Value // data that came before the type
		notJSON   string         // a content type that is not JSON
	)
	for n := 0; d.dec.PeekKind() != '}'; n++ {
		raw, err := d.dec.ReadValue()
		if err != nil {
			return d.syntax(err)
		}
		if n == maxAttributes {
			return d.invalid("an event may have up to %d attributes", maxAttributes)
		}
		switch name := d.unquote(raw); string(name) {
		case "specversion":
			err = d.specversion()
			has |= hasSpecversion
		case "id":
			c.ID, err = d.id()
			has |= hasID
		case "type":
			eventType, err = d.eventType()
			has |= hasType
		case "source":
			c.Partner, err = d.sourceURI()
			has |= hasSource
		case "subject":
			var given bool
			c.Sub, given, err = d.optional()
			if given {
				has |= hasSubject
			}
			if err == nil && len(c.Sub) > claim.MaxID {
				err = d.tooLong(claim.MaxID)
			}
		case "time":
			err = d.checkTime()
		case "datacontenttype":
			notJSON, err = d.contentType()
		case "dataschema":
			err = d.checkSchema()
		case "data":
			if has&hasBase64 != 0 {
				return d.invalid("an event has data or data_base64, not both")
			}
			has |= hasData
			if eventType == claim.EventType {
				err = d.data(c)
			} else if unread, err = d.dec.ReadValue(); err != nil {
				err = d.syntax(err)
			}
		case "data_base64":
			var given bool
			if given, err = d.checkBase64(); given {
				if has&hasData != 0 {
					return d.invalid("an event has data or data_base64, not both")
				}
				has |= hasBase64
			}
		default:
			err = d.extension(name)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.syntax(err)
	}
	err := d.checkEnvelope(has, eventType, notJSON)
	if err == nil && unread != nil {
		err = d.unreadData(unread, c)
	}
	if err != nil && fault.KindOf(err) == fault.Unfit {
		d.noClaim = cmp.Or(d.noClaim, err)
		return nil
	}
	return err
}

// checkEnvelope looks at the event as a whole, when all of it has been read.
func (d *decoder) checkEnvelope(has int, eventType, notJSON string) error {
	for _, required := range []struct {
		bit  int
		name string
	}{{hasSpecversion, "specversion"}, {hasID, "id"}, {hasType, "type"}, {hasSource, "source"}} {
		if has&required.bit == 0 {
			return d.invalid("%s is missing", required.name)
		}
	}
	switch {
	case eventType != claim.EventType:
		return d.at("/type", fault.Unfit, "an event of type %s is no claim: want %s", quote(eventType), claim.EventType)
	case has&hasSubject == 0:
		return d.at("", fault.Unfit, "subject is missing: it names the member by the sub that the link gave you")
	case has&hasBase64 != 0:
		return d.at("/data_base64", fault.Unfit, "a claim's data is JSON: send it as data")
	case has&hasData == 0:
		return d.at("", fault.Unfit, "data is missing")
	case notJSON != "":
		return d.at("/datacontenttype", fault.Unfit, "a claim's data is JSON, not %s", quote(notJSON))
	}
	return nil
}

// unreadData reads the data of an event whose type came after it.
func (d *decoder) unreadData(raw jsontext.Value, c *claim.Claim) error {
	inner := *d
	inner.dec = jsontext.NewDecoder(bytes.NewBuffer(raw))
	inner.inArray, inner.within = false, "/data"
	return inner.data(c)
}

// data reads the claim itself.
func (d *decoder) data(c *claim.Claim) error {
	if d.dec.PeekKind() != '{' {
		return d.unexpectedData("an object")
	}
	d.dec.ReadToken()
	var hasStart, hasEnd bool
	for d.dec.PeekKind() != '}' {
		raw, err := d.dec.ReadValue()
		if err != nil {
			return d.syntax(err)
		}
		switch name := d.unquote(raw); string(name) {
		case "scenario":
			c.Scenario, err = d.word(claim.MaxName)
		case "start":
			hasStart = true
			c.Start, err = d.instant()
		case "end":
			hasEnd = true
			c.End, err = d.instant()
		case "quantities":
			c.Quantities, err = d.quantities()
		case "evidence":
			c.Evidence, err = d.word(claim.MaxName)
		case "region":
			c.Region, err = d.word(claim.MaxName)
		case "act":
			c.Act, err = d.text(claim.MaxID)
		case "object":
			c.Object, err = d.text(claim.MaxID)
		case "commitment":
			c.Commitment, err = d.commitment()
		default:
			return d.unfit("a claim has no %s: it has scenario, start, end, quantities, evidence, region, act, object, commitment", quote(string(name)))
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return d.syntax(err)
	}
	switch {
	case c.Scenario == "":
		return d.unfit("scenario is missing")
	case !hasStart:
		return d.unfit("start is missing")
	case !hasEnd:
		return d.unfit("end is missing: an act without length ends when it starts")
	}
	return nil
}

// quantities reads an object of numbers, or of texts such as "2100 m", in order of name.
func (d *decoder) quantities() ([]claim.Quantity, error) {
	switch d.dec.PeekKind() {
	case 'n':
		_, err := d.dec.ReadToken()
		return nil, d.syntax(err)
	case '{':
	default:
		return nil, d.unexpectedData("an object of numbers")
	}
	d.dec.ReadToken()
	quantities := make([]claim.Quantity, 0, 2)
	for d.dec.PeekKind() != '}' {
		raw, err := d.dec.ReadValue()
		if err != nil {
			return nil, d.syntax(err)
		}
		name := d.keep(d.unquote(raw))
		switch {
		case name == "":
			return nil, d.unfit("a quantity has no name")
		case len(name) > claim.MaxName:
			return nil, d.tooLong(claim.MaxName)
		case !clean(name):
			return nil, d.unfit("the name holds a control character")
		case len(quantities) == claim.MaxQuantities:
			return nil, d.unfit("a claim may have up to %d quantities", claim.MaxQuantities)
		}
		text, err := d.quantity()
		if err != nil {
			return nil, err
		}
		quantities = append(quantities, claim.Quantity{Name: name, Text: text})
		for i := len(quantities) - 1; i > 0 && quantities[i].Name < quantities[i-1].Name; i-- {
			quantities[i], quantities[i-1] = quantities[i-1], quantities[i]
		}
	}
	_, err := d.dec.ReadToken()
	return quantities, d.syntax(err)
}

// quantity keeps a number as it is written: no float ever holds it. One that is out of range, or text that is no
// number, is left for the judge to refuse with its reason.
func (d *decoder) quantity() (string, error) {
	kind := d.dec.PeekKind()
	if kind != '0' && kind != '"' {
		return "", d.unexpectedData("a number, or text such as \"2100 m\"")
	}
	raw, err := d.dec.ReadValue()
	if err != nil {
		return "", d.syntax(err)
	}
	if kind == '"' {
		raw = d.unquote(raw)
	}
	text, _ := claim.Canonical(string(raw))
	return text, nil
}

// instant reads start or end.
func (d *decoder) instant() (claim.Micros, error) {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return 0, d.syntax(err)
	}
	if raw.Kind() == '"' {
		switch at, exact, ok := parseInstant(d.unquote(raw)); {
		case ok && exact:
			return at, nil
		case ok:
			return 0, d.unfit("times are kept to the microsecond: want up to six digits after the point")
		}
	}
	return 0, d.unfit("want a time of RFC 3339 with its offset, such as \"2026-08-21T08:15:03+08:00\"")
}

// commitment reads a SHA-256 in hex, or null.
func (d *decoder) commitment() (string, error) {
	text, err := d.text(64)
	if err != nil || text == "" {
		return "", err
	}
	if _, err := hex.DecodeString(text); err != nil || len(text) != 64 {
		return "", d.unfit("want a SHA-256 as 64 hexadecimal digits")
	}
	return strings.ToLower(text), nil
}

// text reads a member of the data that is text; null is "".
func (d *decoder) text(limit int) (string, error) {
	b, err := d.textBytes(limit)
	return string(b), err
}

// word reads text that recurs from claim to claim.
func (d *decoder) word(limit int) (string, error) {
	b, err := d.textBytes(limit)
	return d.keep(b), err
}

func (d *decoder) textBytes(limit int) ([]byte, error) {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return nil, d.syntax(err)
	}
	switch raw.Kind() {
	case 'n':
		return nil, nil
	case '"':
	default:
		return nil, d.unfit("want text")
	}
	b := d.unquote(raw)
	switch {
	case len(b) > limit:
		return nil, d.tooLong(limit)
	case !clean(b):
		return nil, d.unfit("the text holds a control character")
	}
	return b, nil
}

// attribute reads a required attribute of the envelope. The bytes hold until the next read.
func (d *decoder) attribute() ([]byte, error) {
	b, given, err := d.optionalBytes()
	if err == nil && !given {
		return nil, d.invalid("want text, not null")
	}
	return b, err
}

// optional reads an attribute that may be missing or null.
func (d *decoder) optional() (s string, given bool, err error) {
	b, given, err := d.optionalBytes()
	return string(b), given, err
}

// optionalBytes reads an attribute of type String (CloudEvents 1.0 §3.1), never empty; null means that it is not given.
func (d *decoder) optionalBytes() (b []byte, given bool, err error) {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return nil, false, d.syntax(err)
	}
	switch raw.Kind() {
	case 'n':
		return nil, false, nil
	case '"':
	default:
		return nil, false, d.invalid("want text")
	}
	b = d.unquote(raw)
	switch {
	case len(b) == 0:
		return nil, false, d.invalid("want text that is not empty")
	case !clean(b):
		return nil, false, d.invalid("the text holds a control character")
	}
	return b, true, nil
}

func (d *decoder) specversion() error {
	b, err := d.attribute()
	if err == nil && string(b) != "1.0" {
		return d.invalid("specversion is %s, want 1.0", quote(string(b)))
	}
	return err
}

func (d *decoder) id() (string, error) {
	b, err := d.attribute()
	if err == nil && len(b) > claim.MaxID {
		return "", d.tooLong(claim.MaxID)
	}
	return string(b), err
}

func (d *decoder) eventType() (string, error) {
	b, err := d.attribute()
	if string(b) == claim.EventType {
		return claim.EventType, err
	}
	return string(b), err
}

func (d *decoder) sourceURI() (string, error) {
	b, err := d.attribute()
	if err != nil || string(b) == d.source {
		return d.source, err
	}
	if _, err := url.Parse(string(b)); err != nil {
		return "", d.invalid("source is no URI reference")
	}
	d.source = string(b)
	return d.source, nil
}

func (d *decoder) checkTime() error {
	b, given, err := d.optionalBytes()
	if err != nil || !given {
		return err
	}
	if _, _, ok := parseInstant(b); !ok {
		return d.invalid("want a time of RFC 3339")
	}
	return nil
}

func (d *decoder) checkSchema() error {
	s, given, err := d.optional()
	if err != nil || !given {
		return err
	}
	if u, err := url.Parse(s); err != nil || !u.IsAbs() {
		return d.invalid("want an absolute URI")
	}
	return nil
}

// contentType returns a datacontenttype that does not announce JSON.
func (d *decoder) contentType() (notJSON string, err error) {
	b, given, err := d.optionalBytes()
	if err != nil || !given || string(b) == "application/json" {
		return "", err
	}
	media, _, err := mime.ParseMediaType(string(b))
	if err != nil || !strings.Contains(media, "/") {
		return "", d.invalid("want a media type (RFC 2046)")
	}
	if strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json") {
		return "", nil
	}
	return media, nil
}

func (d *decoder) checkBase64() (given bool, err error) {
	raw, err := d.dec.ReadValue()
	if err != nil {
		return false, d.syntax(err)
	}
	switch raw.Kind() {
	case 'n':
		return false, nil
	case '"':
		if _, err := io.Copy(io.Discard, base64.NewDecoder(base64.StdEncoding, bytes.NewReader(d.unquote(raw)))); err == nil {
			return true, nil
		}
	}
	return false, d.invalid("want text in base64")
}

// extension passes over an attribute that we do not know; it must still be one (CloudEvents 1.0 §3.1.1, §3.1).
func (d *decoder) extension(name []byte) error {
	if len(name) == 0 || slices.ContainsFunc(name, func(c byte) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }) {
		return d.invalid("an attribute's name is made of a–z and 0–9")
	}
	raw, err := d.dec.ReadValue()
	if err != nil {
		return d.syntax(err)
	}
	switch raw.Kind() {
	case '{', '[':
		return d.invalid("an extension's value is text, a whole number, true or false")
	case '0':
		if bytes.ContainsAny(raw, ".eE") {
			return d.invalid("an extension's number is a whole number")
		}
	case '"':
		if !clean(d.unquote(raw)) {
			return d.invalid("the text holds a control character")
		}
	}
	return nil
}

// unquote returns the text of a JSON string that has been read and so is valid. The bytes hold until the next call.
func (d *decoder) unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	d.buf, _ = jsontext.AppendUnquote(d.buf[:0], raw)
	return d.buf
}

// keep returns b as a string, the same one for the same bytes while it remembers them.
func (d *decoder) keep(b []byte) string {
	if s, ok := d.words[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.words) < 64 && len(b) <= claim.MaxName {
		d.words[s] = s
	}
	return s
}

// clean reports whether text is free of what CloudEvents forbids in a String: control characters and noncharacters.
func clean[T []byte | string](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c >= 0x7f {
			return cleanRunes(string(text))
		}
	}
	return true
}

func cleanRunes(text string) bool {
	for _, r := range text {
		if unicode.IsControl(r) || r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef {
			return false
		}
	}
	return true
}

// pointer says where in the event the last value read stands.
func (d *decoder) pointer() string {
	p := string(d.dec.StackPointer())
	if d.inArray && p != "" {
		_, p, _ = strings.Cut(p[1:], "/")
		if p != "" {
			p = "/" + p
		}
	}
	return d.within + p
}

func (d *decoder) at(pointer string, kind fault.Kind, format string, args ...any) error {
	return &EventError{Event: d.event, Pointer: shorten(pointer, 256), Err: fault.New(kind, format, args...)}
}

func (d *decoder) invalid(format string, args ...any) error {
	return d.at(d.pointer(), fault.Invalid, format, args...)
}

func (d *decoder) unfit(format string, args ...any) error {
	return d.at(d.pointer(), fault.Unfit, format, args...)
}

func (d *decoder) tooLong(limit int) error {
	return d.unfit("longer than %d bytes", limit)
}

// unexpected answers a value of another kind than the one that must stand here, or the lack of one. It does not read the value.
func (d *decoder) unexpected(want string) error {
	return d.wrongKind(fault.Invalid, want)
}

func (d *decoder) unexpectedData(want string) error {
	return d.wrongKind(fault.Unfit, want)
}

func (d *decoder) wrongKind(kind fault.Kind, want string) error {
	got := kindName(d.dec.PeekKind())
	if got == "" {
		_, err := d.dec.ReadValue()
		return d.syntax(err)
	}
	return d.at(d.pointer(), kind, "got %s, want %s", got, want)
}

// kindName is "" for what is no value.
func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return k.String()
	case '"':
		return "text"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return ""
}

// syntax answers bytes that are no JSON, or JSON that two readers could understand differently.
func (d *decoder) syntax(err error) error {
	if err == nil {
		return nil
	}
	var s *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF):
		return d.at("", fault.Invalid, "no event: the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return d.invalid("the JSON text ends too early")
	case errors.As(err, &s):
		p := string(s.JSONPointer)
		if d.inArray && p != "" {
			_, p, _ = strings.Cut(p[1:], "/")
			p = "/" + p
		}
		return d.at(strings.TrimSuffix(d.within+p, "/"), fault.Invalid, "no valid JSON at byte %d: %s", s.ByteOffset, shorten(s.Err.Error(), 200))
	}
	return d.invalid("no valid JSON: %s", shorten(err.Error(), 200))
}

// quote shows text from outside in a sentence.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s, 64)) }

// shorten cuts s to about n bytes, on a boundary between characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// appendText writes s as a JSON string.
func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // its only error, invalid UTF-8, it has then mended
	return dst
}
