package importing

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Limits on a CSV file. encoding/csv has none, and lets one forgotten quote swallow the rest of a file.
const (
	maxField   = 64 << 10 // bytes of a field
	maxColumns = 4096
	maxRecord  = 1 << 20 // bytes of a row
	firstBuf   = 256 << 10
)

// A csvReader reads rows after RFC 4180, strictly, in memory that maxRecord bounds. A row that is not
// well formed costs its first line and no more: reading goes on with the line after it.
type csvReader struct {
	src    io.Reader
	ended  bool
	failed error  // what ended reading before the end
	buf    []byte // what is read and not yet taken is buf[from:]
	from   int
	fields []field // of the row taken last
	names  []string
	places []int // which columns fill which places of a row
	text   []byte
	ends   []int
}

// A field is where a column's text stands in the buffer.
type field struct {
	from, to int
	doubled  bool // it holds doubled quotes
}

var longQuoted = fmt.Sprintf("longer than %d bytes; is a quote not closed?", maxField)

// errMore says that the buffer ends inside the row.
var errMore = errors.New("the buffer ends inside the row")

// newCSV reads the first row, which names the columns.
func newCSV(src io.Reader) (*csvReader, error) {
	r := &csvReader{src: src, buf: make([]byte, 0, firstBuf)}
	if err := r.load(); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(r.buf, []byte("\xef\xbb\xbf")) { // the mark that Excel puts before UTF-8
		r.from = 3
	}
	if bytes.HasPrefix(r.buf, []byte("\xff\xfe")) || bytes.HasPrefix(r.buf, []byte("\xfe\xff")) {
		return nil, errors.New("this is UTF-16; save it as UTF-8")
	}
	switch err := r.record(); {
	case err == io.EOF:
		return nil, errors.New("the file is empty; its first row names the columns")
	case err != nil:
		return nil, fmt.Errorf("the first row, which names the columns: %w", err)
	}
	for _, f := range r.fields {
		name := string(r.appendValue(nil, f))
		if !utf8.ValidString(name) {
			return nil, errors.New("the first row, which names the columns, is not UTF-8; save the file as UTF-8")
		}
		r.names = append(r.names, strings.TrimSpace(name))
	}
	return r, nil
}

func (r *csvReader) header() []string { return r.names }

func (r *csvReader) bind(places []int) error {
	r.places = places
	return nil
}

func (r *csvReader) close() error { return nil }

// next fills row with the bound columns of the next row.
func (r *csvReader) next(row []string) error {
	if err := r.record(); err != nil {
		return err
	}
	if len(r.fields) != len(r.names) {
		return &RowError{Text: fmt.Sprintf("%d columns, where the first row names %d", len(r.fields), len(r.names))}
	}
	// One string for the whole row, cut into values: a window of rows is a few thousand allocations, not more.
	r.text, r.ends = r.text[:0], r.ends[:0]
	for _, column := range r.places {
		r.text = r.appendValue(r.text, r.fields[column])
		r.ends = append(r.ends, len(r.text))
	}
	all, from := string(r.text), 0
	for slot, to := range r.ends {
		row[slot], from = all[from:to], to
		if !utf8.ValidString(row[slot]) {
			return r.wrong(r.places[slot], "not UTF-8")
		}
	}
	return nil
}

func (r *csvReader) appendValue(b []byte, f field) []byte {
	value := r.buf[f.from:f.to]
	if !f.doubled {
		return append(b, value...)
	}
	for {
		i := bytes.IndexByte(value, '"')
		if i < 0 {
			return append(b, value...)
		}
		b = append(b, value[:i+1]...)
		value = value[i+2:]
	}
}

// record takes the next row that is not blank. A *RowError has taken its first line.
func (r *csvReader) record() error {
	for {
		rest := r.buf[r.from:]
		if len(rest) > 0 && rest[0] == '\n' {
			r.from++
			continue
		}
		if bytes.HasPrefix(rest, []byte("\r\n")) {
			r.from += 2
			continue
		}
		if len(rest) == 0 && r.ended {
			return io.EOF
		}
		length, err := r.scan(rest)
		switch {
		case err == errMore && len(rest) > maxRecord, err == nil && length > maxRecord:
			err = &RowError{Text: fmt.Sprintf("a row of more than %d bytes", maxRecord)}
		case err == errMore:
			if err := r.load(); err != nil {
				return err
			}
			continue
		case err == nil:
			for i := range r.fields {
				r.fields[i].from += r.from
				r.fields[i].to += r.from
			}
			r.from += length
			return nil
		}
		if lost := r.dropLine(); lost != nil {
			return lost
		}
		return err
	}
}

// scan finds the fields of the row that data begins with, and how many bytes it has with its line end.
func (r *csvReader) scan(data []byte) (int, error) {
	r.fields = r.fields[:0]
	for i := 0; ; {
		if len(r.fields) == maxColumns {
			return 0, &RowError{Text: fmt.Sprintf("more than %d columns", maxColumns)}
		}
		f, end, err := r.scanField(data, i)
		if err != nil {
			return 0, err
		}
		if f.to-f.from > maxField {
			return 0, r.wrong(len(r.fields), "longer than %d bytes", maxField)
		}
		r.fields = append(r.fields, f)
		switch {
		case end == len(data):
			return end, nil // the file ends without a line end
		case data[end] == '\n':
			return end + 1, nil
		case data[end] == '\r':
			return end + 2, nil
		}
		i = end + 1
	}
}

// scanField finds the field that begins at i, and where its comma or line end is.
func (r *csvReader) scanField(data []byte, i int) (field, int, error) {
	if i < len(data) && data[i] == '"' {
		return r.scanQuoted(data, i)
	}
	for j := i; j < len(data); j++ {
		switch data[j] {
		case ',', '\n':
			return field{from: i, to: j}, j, nil
		case '"':
			return field{}, 0, r.wrong(len(r.fields), "a quote inside a field that does not begin with one")
		case '\r':
			end, err := r.lineEnd(data, j)
			return field{from: i, to: j}, end, err
		}
	}
	return r.open(field{from: i, to: len(data)}, len(data), "")
}

func (r *csvReader) scanQuoted(data []byte, i int) (field, int, error) {
	f := field{from: i + 1}
	for j := i + 1; ; {
		k := bytes.IndexByte(data[j:], '"')
		if k < 0 {
			return r.open(field{from: i, to: len(data)}, len(data), "a quote that is not closed")
		}
		j += k
		if j+1 < len(data) && data[j+1] == '"' {
			f.doubled = true
			j += 2
			continue
		}
		f.to = j
		switch {
		case f.to-f.from > maxField:
			return field{}, 0, r.wrong(len(r.fields), "%s", longQuoted)
		case j+1 == len(data):
			return r.open(f, len(data), "")
		case data[j+1] == ',' || data[j+1] == '\n':
			return f, j + 1, nil
		case data[j+1] == '\r':
			end, err := r.lineEnd(data, j+1)
			return f, end, err
		}
		return field{}, 0, r.wrong(len(r.fields), "text after the closing quote; a quote inside a quoted field is written twice")
	}
}

// open settles a field that the end of the buffer cuts: there is more to read, or it is too long, or it
// is the file's last, for which complaint says what is wrong with it, if anything.
func (r *csvReader) open(f field, end int, complaint string) (field, int, error) {
	switch {
	case f.to-f.from > maxField && complaint != "":
		return f, 0, r.wrong(len(r.fields), "%s", longQuoted)
	case f.to-f.from > maxField:
		return f, 0, r.wrong(len(r.fields), "longer than %d bytes", maxField)
	case !r.ended:
		return f, 0, errMore
	case complaint != "":
		return f, 0, r.wrong(len(r.fields), "%s", complaint)
	}
	return f, end, nil
}

// lineEnd checks that the carriage return at i ends a line.
func (r *csvReader) lineEnd(data []byte, i int) (int, error) {
	switch {
	case i+1 < len(data) && data[i+1] == '\n':
		return i, nil
	case i+1 == len(data) && !r.ended:
		return 0, errMore
	}
	return 0, r.wrong(len(r.fields), "a carriage return inside the line")
}

// wrong is an error about one column of the row.
func (r *csvReader) wrong(column int, format string, args ...any) error {
	e := &RowError{Column: column + 1, Text: fmt.Sprintf(format, args...)}
	if column < len(r.names) {
		e.Name = r.names[column]
	}
	return e
}

// dropLine gives up the rest of a line, however long it is.
func (r *csvReader) dropLine() error {
	for {
		if i := bytes.IndexByte(r.buf[r.from:], '\n'); i >= 0 {
			r.from += i + 1
			return nil
		}
		r.from = len(r.buf)
		if r.ended {
			return nil
		}
		if err := r.load(); err != nil {
			return err
		}
	}
}

// load fills the buffer, first making room: by moving what is left to the front, then by a larger buffer.
// A row is scanned again when there is more of it, so a little more at a time would not do.
func (r *csvReader) load() error {
	if r.from > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.from:])]
		r.from = 0
	}
	if len(r.buf) == cap(r.buf) {
		r.buf = append(make([]byte, 0, 2*cap(r.buf)), r.buf...)
	}
	before := len(r.buf)
	for idle := 0; r.failed == nil && len(r.buf) < cap(r.buf) && idle < 100; idle++ {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if n > 0 {
			idle = 0
		}
		if err == io.EOF {
			r.ended = true
			return nil
		}
		r.failed = err // io.ErrUnexpectedEOF too: a compressed file that was cut
	}
	if r.failed != nil && len(r.buf) > before {
		return nil // first what came before it
	}
	return r.failed
}
