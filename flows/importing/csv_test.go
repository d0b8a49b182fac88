package importing

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readAll returns each row as its values joined with |, or its error in parentheses.
func readAll(src io.Reader) (header []string, got []string, err error) {
	r, err := newCSV(src)
	if err != nil {
		return nil, nil, err
	}
	places := make([]int, len(r.names))
	for i := range places {
		places[i] = i
	}
	r.bind(places)
	row := make([]string, len(places))
	for {
		err := r.next(row)
		var wrong *RowError
		switch {
		case err == io.EOF:
			return r.names, got, nil
		case errors.As(err, &wrong):
			got = append(got, "("+err.Error()+")")
		case err != nil:
			return r.names, got, err
		default:
			got = append(got, strings.Join(row, "|"))
		}
	}
}

func TestCSV(t *testing.T) {
	long := strings.Repeat("x", maxField)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"plain", "a,b\n1,2\n3,4\n", []string{"1|2", "3|4"}},
		{"no end of line at the end", "a,b\n1,2", []string{"1|2"}},
		{"Windows", "a,b\r\n1,2\r\n\r\n3,4\r\n", []string{"1|2", "3|4"}},
		{"mark of UTF-8", "\ufeffa,b\n1,2\n", []string{"1|2"}},
		{"blank lines", "\n\na,b\n\n1,2\n\n", []string{"1|2"}},
		{"empty values", "a,b\n,\n\"\",2\n", []string{"|", "|2"}},
		{"quotes", "a,b\n\"1,\"\"x\"\"\n\",2\n", []string{"1,\"x\"\n|2"}},
		{"quote at the end of the file", "a,b\n1,\"2\"", []string{"1|2"}},
		{"few columns", "a,b\n1\n3,4\n", []string{"(1 columns, where the first row names 2)", "3|4"}},
		{"many columns", "a,b\n1,2,3\n3,4\n", []string{"(3 columns, where the first row names 2)", "3|4"}},
		{"quote inside", "a,b\n1,2\"\n3,4\n", []string{"(column 2 (b): a quote inside a field that does not begin with one)", "3|4"}},
		{"text after quote", "a,b\n\"1\"x,2\n3,4\n",
			[]string{"(column 1 (a): text after the closing quote; a quote inside a quoted field is written twice)", "3|4"}},
		{"a forgotten quote costs its line", "a,b\n\"1,2\n3,4\n5,6\n", []string{"(column 1 (a): a quote that is not closed)", "3|4", "5|6"}},
		{"two forgotten quotes", "a,b\n\"1,2\n3,4\n\"5,6\n7,8\n", []string{
			"(column 1 (a): text after the closing quote; a quote inside a quoted field is written twice)", "3|4",
			"(column 1 (a): a quote that is not closed)", "7|8"}},
		{"carriage return inside", "a,b\n1,2\r3\n3,4\n", []string{"(column 2 (b): a carriage return inside the line)", "3|4"}},
		{"not UTF-8", "a,b\n1,\xff\n3,4\n", []string{"(column 2 (b): not UTF-8)", "3|4"}},
		{"longest field", "a,b\n1," + long + "\n3,4\n", []string{"1|" + long, "3|4"}},
		{"too long", "a,b\n1,x" + long + "\n3,4\n", []string{"(column 2 (b): longer than 65536 bytes)", "3|4"}},
		{"too long and quoted", "a,b\n1,\"x" + long + "\"\n3,4\n", []string{"(column 2 (b): longer than 65536 bytes; is a quote not closed?)", "3|4"}},
		{"too many columns", "a,b\n" + strings.Repeat(",", maxColumns) + "\n3,4\n", []string{"(more than 4096 columns)", "3|4"}},
		{"too long a row", "a,b\n" + strings.Repeat(long+",", 20) + "\n3,4\n", []string{"(a row of more than 1048576 bytes)", "3|4"}},
		{"spaces in names", " a , b\n1, 2\n", []string{"1| 2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for how, src := range map[string]io.Reader{
				"whole": strings.NewReader(test.text), "byte by byte": iotest.OneByteReader(strings.NewReader(test.text)),
			} {
				names, got, err := readAll(src)
				if err != nil || len(names) != 2 || names[0] != "a" || names[1] != "b" {
					t.Fatalf("%s: header %q, %v", how, names, err)
				}
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
					t.Errorf("%s: rows %.300q, want %.300q", how, got, test.want)
				}
			}
		})
	}
}

func TestCSVHeaders(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "the file is empty; its first row names the columns"},
		{"\ufeff\n\n", "the file is empty; its first row names the columns"},
		{"\xff\xfea\x00", "this is UTF-16; save it as UTF-8"},
		{"a,\"b\n", "the first row, which names the columns: column 2: a quote that is not closed"},
		{"a,\xb4\n", "the first row, which names the columns, is not UTF-8; save the file as UTF-8"},
		{strings.Repeat(",", 1<<20), "the first row, which names the columns: more than 4096 columns"},
	}
	for _, test := range tests {
		_, _, err := readAll(strings.NewReader(test.text))
		if err == nil || err.Error() != test.want {
			t.Errorf("a file %.20q gave %v, want %s", test.text, err, test.want)
		}
	}
}

// A line without end, with or without a quote, does not fill the memory.
func TestCSVIsBounded(t *testing.T) {
	for _, unit := range []string{"x", "\"\"", ",x", ",\"xx\"", "\"a\n"} {
		const size = 4 << 20
		src := io.MultiReader(strings.NewReader("a,b\n\""), io.LimitReader(&endless{unit: unit}, size), strings.NewReader("\n1,2\n"))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := newCSV(src)
		if err != nil {
			t.Fatal(err)
		}
		r.bind([]int{0, 1})
		row := make([]string, 2)
		last := ""
		for err = error(nil); err != io.EOF; {
			if err = r.next(row); err == nil {
				last = strings.Join(row, "|")
			}
		}
		runtime.ReadMemStats(&after)
		if cap(r.buf) > 4*maxRecord || after.Sys-before.Sys > 16<<20 {
			t.Errorf("a line of %q took %d bytes of buffer, %d from the system", unit, cap(r.buf), after.Sys-before.Sys)
		}
		if last != "1|2" && unit != "\"a\n" {
			t.Errorf("after a line of %q the last row is %q", unit, last)
		}
	}
}

type endless struct {
	unit string
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.unit[e.at]
		e.at = (e.at + 1) % len(e.unit)
	}
	return len(b), nil
}

// What encoding/csv writes, we read.
func TestCSVReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(2, 5).Draw(t, "columns")
		value := rapid.StringOf(rapid.SampledFrom([]rune("ab,\"\n é")))
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		w.UseCRLF = rapid.Bool().Draw(t, "crlf")
		header := make([]string, columns)
		for i := range header {
			header[i] = fmt.Sprint("c", i)
		}
		w.Write(header)
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			row := rapid.SliceOfN(value, columns, columns).Draw(t, "row")
			w.Write(row)
			all := strings.Join(row, "|")
			if w.UseCRLF {
				all = strings.ReplaceAll(all, "\n", "\r\n") // so it writes them
			}
			want = append(want, all)
		}
		w.Flush()
		_, got, err := readAll(&b)
		if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("read %q, %v, want %q", got, err, want)
		}
	})
}

// However a file arrives, in pieces or whole, its rows are the same.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n\"3\"\"\",4\r\n\"5\n,6\n")
	f.Add("\ufeffa\n\n\"\n\"\r")
	f.Fuzz(func(t *testing.T, text string) {
		h1, r1, e1 := readAll(strings.NewReader(text))
		h2, r2, e2 := readAll(iotest.OneByteReader(strings.NewReader(text)))
		if fmt.Sprintf("%q%q%v", h1, r1, e1) != fmt.Sprintf("%q%q%v", h2, r2, e2) {
			t.Errorf("whole: %q %q %v\nin pieces: %q %q %v", h1, r1, e1, h2, r2, e2)
		}
		if len(r1) > strings.Count(text, "\n")+1 {
			t.Errorf("%d rows of %d lines", len(r1), strings.Count(text, "\n")+1)
		}
	})
}
