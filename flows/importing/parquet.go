package importing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

const (
	maxFooter = 64 << 20 // bytes of what describes a Parquet file; the library takes the file's word for it
	pageful   = 1024     // values read ahead of each column
)

// A parquetReader reads the bound columns of a Parquet file, row group by row group, and turns their values
// into the text that a CSV would have held. Nested columns are named with dots; those that repeat cannot be read.
type parquetReader struct {
	file   *parquet.File
	names  []string
	leaves []*parquet.Column

	columns []column
	group   int   // row groups begun
	left    int64 // rows not yet read of the row group
	read    int64
}

// A column is the place in the current row group of one bound column.
type column struct {
	leaf   *parquet.Column
	name   string
	text   func(parquet.Value) string
	values parquet.ColumnChunkValueReader
	ahead  []parquet.Value
	buf    [pageful]parquet.Value
}

func newParquet(f *os.File, size int64) (r *parquetReader, err error) {
	defer damaged(&err)
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], size-8); err != nil {
		return nil, fmt.Errorf("reading the end of the file: %w", err)
	}
	footer := int64(binary.LittleEndian.Uint32(tail[:4]))
	if string(tail[4:]) != "PAR1" || footer > size-12 || footer > maxFooter {
		return nil, errors.New("the file begins like Parquet but does not end like it; is it complete?")
	}
	file, err := parquet.OpenFile(f, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	r = &parquetReader{file: file}
	r.name(file.Root(), nil)
	if len(r.names) > maxColumns {
		return nil, fmt.Errorf("%d columns, and at most %d can be read", len(r.names), maxColumns)
	}
	return r, nil
}

// damaged turns a panic of the library over a damaged file into an error about the file.
func damaged(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the Parquet file is damaged: %v", p)
	}
}

// name lists the leaves below c, which is in path.
func (r *parquetReader) name(c *parquet.Column, path []string) {
	for _, child := range c.Columns() {
		below := append(path[:len(path):len(path)], child.Name())
		if child.Leaf() {
			r.names = append(r.names, strings.Join(below, "."))
			r.leaves = append(r.leaves, child)
			continue
		}
		r.name(child, below)
	}
}

func (r *parquetReader) header() []string { return r.names }

func (r *parquetReader) bind(places []int) error {
	r.columns = make([]column, len(places))
	for slot, place := range places {
		leaf := r.leaves[place]
		text := textOf(leaf.Type())
		switch {
		case leaf.MaxRepetitionLevel() > 0:
			return fmt.Errorf("column %q holds lists, which a map cannot name", r.names[place])
		case text == nil:
			return fmt.Errorf("column %q is of type %s, which cannot be read as text", r.names[place], leaf.Type())
		}
		r.columns[slot] = column{leaf: leaf, name: r.names[place], text: text}
	}
	return nil
}

func (r *parquetReader) next(row []string) (err error) {
	defer damaged(&err)
	for r.left == 0 {
		if err := r.nextGroup(); err != nil {
			return err
		}
	}
	r.left--
	r.read++
	var wrong error
	for slot := range r.columns {
		c := &r.columns[slot]
		v, err := c.next()
		if err != nil {
			return fmt.Errorf("column %q: %w", c.name, err)
		}
		text, err := c.value(v)
		if err != nil && wrong == nil { // the other columns still have to move on
			wrong = &RowError{Column: c.leaf.Index() + 1, Name: c.name, Text: err.Error()}
		}
		row[slot] = text
	}
	return wrong
}

func (r *parquetReader) nextGroup() error {
	r.close()
	groups := r.file.RowGroups()
	if r.group == len(groups) {
		return io.EOF
	}
	g := groups[r.group]
	r.group++
	r.left = g.NumRows()
	chunks := g.ColumnChunks()
	for i := range r.columns {
		c := &r.columns[i]
		c.values = parquet.NewColumnChunkValueReader(chunks[c.leaf.Index()])
		c.ahead = nil
	}
	return nil
}

func (r *parquetReader) close() error {
	var errs []error
	for i := range r.columns {
		if c := &r.columns[i]; c.values != nil {
			errs = append(errs, c.values.Close())
			c.values = nil
		}
	}
	return errors.Join(errs...)
}

// next returns the column's next value, which is good until the one after it is asked for.
func (c *column) next() (parquet.Value, error) {
	if len(c.ahead) == 0 {
		n, err := c.values.ReadValues(c.buf[:])
		switch {
		case n == 0 && (err == io.EOF || err == nil):
			return parquet.Value{}, errors.New("it has fewer values than the file has rows")
		case n == 0:
			return parquet.Value{}, err
		}
		c.ahead = c.buf[:n]
	}
	v := c.ahead[0]
	c.ahead = c.ahead[1:]
	return v, nil
}

// value returns a value as text, and nothing for a null.
func (c *column) value(v parquet.Value) (string, error) {
	if v.IsNull() {
		return "", nil
	}
	text := c.text(v)
	switch {
	case len(text) > maxField:
		return "", fmt.Errorf("longer than %d bytes", maxField)
	case !utf8.ValidString(text):
		return "", errors.New("not UTF-8")
	}
	return text, nil
}

// textOf returns how values of a type are written, or nil where there is no plain way to.
func textOf(t parquet.Type) func(parquet.Value) string {
	if logical := t.LogicalType(); logical != nil && logical.Value != nil {
		return logicalText(t, logical.Value)
	}
	switch t.Kind() {
	case parquet.Boolean:
		return func(v parquet.Value) string { return strconv.FormatBool(v.Boolean()) }
	case parquet.Int32, parquet.Int64:
		return integer
	case parquet.Int96:
		return int96
	case parquet.Float:
		return func(v parquet.Value) string { return float(float64(v.Float()), 32) }
	case parquet.Double:
		return func(v parquet.Value) string { return float(v.Double(), 64) }
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return func(v parquet.Value) string { return string(v.ByteArray()) }
	}
	return nil
}

func logicalText(t parquet.Type, logical format.LogicalTypeValue) func(parquet.Value) string {
	switch l := logical.(type) {
	case *format.StringType, *format.EnumType, *format.JsonType:
		return func(v parquet.Value) string { return string(v.ByteArray()) }
	case *format.IntType:
		if l.IsSigned {
			return integer
		}
		return unsigned
	case *format.DecimalType:
		return func(v parquet.Value) string { return decimal(v, int(l.Scale)) }
	case *format.DateType:
		return func(v parquet.Value) string {
			return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly)
		}
	case *format.TimestampType:
		layout := "2006-01-02T15:04:05.999999999"
		if l.IsAdjustedToUTC {
			layout += "Z" // else it is a local time, and reads as one
		}
		return func(v parquet.Value) string { return instant(v.Int64(), l.Unit).Format(layout) }
	case *format.TimeType:
		return func(v parquet.Value) string { return instant(whole(v), l.Unit).Format("15:04:05.999999999") }
	case *format.UUIDType:
		return func(v parquet.Value) string {
			b := v.ByteArray()
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
		}
	}
	return nil
}

func integer(v parquet.Value) string { return strconv.FormatInt(whole(v), 10) }

func unsigned(v parquet.Value) string {
	if v.Kind() == parquet.Int32 {
		return strconv.FormatUint(uint64(v.Uint32()), 10)
	}
	return strconv.FormatUint(v.Uint64(), 10)
}

func whole(v parquet.Value) int64 {
	if v.Kind() == parquet.Int32 {
		return int64(v.Int32())
	}
	return v.Int64()
}

// float writes the shortest text that reads back as the same number. Ids that went through a column of
// floats keep their look: 10015, not 1.0015e+04.
func float(f float64, bits int) string {
	if math.Abs(f) < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, bits)
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// decimal writes a whole number of 10^−scale.
func decimal(v parquet.Value, scale int) string {
	n := new(big.Int)
	switch v.Kind() {
	case parquet.Int32, parquet.Int64:
		n.SetInt64(whole(v))
	default: // two's complement, most significant byte first
		b := v.ByteArray()
		n.SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	if scale <= 0 {
		return n.String()
	}
	digits, sign := n.String(), ""
	if n.Sign() < 0 {
		digits, sign = digits[1:], "-"
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", min(missing, maxField)) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

func instant(n int64, unit format.TimeUnit) time.Time {
	switch unit.Value.(type) {
	case *format.MilliSeconds:
		return time.UnixMilli(n).UTC()
	case *format.MicroSeconds:
		return time.UnixMicro(n).UTC()
	}
	return time.Unix(0, n).UTC()
}

// int96 reads the timestamp that Hive, Impala and old Spark write: nanoseconds of a day, and the Julian day.
func int96(v parquet.Value) string {
	n := v.Int96()
	const unixEpoch = 2440588 // Julian day of 1970-01-01
	days := int64(n[2]) - unixEpoch
	nanos := int64(n[1])<<32 | int64(n[0])
	return time.Unix(days*86400, nanos).UTC().Format(time.RFC3339Nano)
}
