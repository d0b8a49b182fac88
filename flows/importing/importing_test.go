package importing

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
)

// A tiny platform stands in for intake here, so that it can die and mumble wherever a test wants. Its rule:
// a claim's quantity q is its worth in milligrams; less than nothing is below the minimum.
type tiny struct {
	parts    [3]tinyPart
	accounts int
	calls    int
	trouble  func(call int) trouble
}

type tinyPart struct {
	batch int64
	known map[string]recorded
}

type recorded struct {
	body    string
	verdict claim.Verdict
}

type trouble int

const (
	none trouble = iota
	busy
	unheard    // a part is not judged
	unanswered // a part is judged, and its answer lost
	death      // all is judged, and the importer dies before it hears
)

var errDeath = errors.New("killed")

func (p *tiny) platform() *platform {
	noPause := func(context.Context, time.Duration) error { return nil }
	return &platform{database: "db-1", zone: time.UTC, submit: p.submit, enrol: p.enrol, heads: p.heads, pause: noPause}
}

func (p *tiny) enrol(_ context.Context, n int) ([]string, error) {
	subs := make([]string, n)
	for i := range subs {
		subs[i] = fmt.Sprintf("sub-%d", p.accounts)
		p.accounts++
	}
	return subs, nil
}

func (p *tiny) heads(context.Context) (map[int]int64, error) {
	heads := map[int]int64{}
	for i := range p.parts {
		heads[i] = p.parts[i].batch
	}
	return heads, nil
}

func (p *tiny) submit(_ context.Context, claims []claim.Claim) ([]claim.Verdict, error) {
	p.calls++
	how := none
	if p.trouble != nil {
		how = p.trouble(p.calls)
	}
	if how == busy {
		return nil, fault.New(fault.Busy, "busy")
	}
	verdicts := make([]claim.Verdict, len(claims))
	var begun [len(p.parts)]int
	for i, c := range claims {
		part := int(c.Sub[len(c.Sub)-1]) % len(p.parts)
		if how == unheard && part == 1 {
			verdicts[i].Reason = reason.Retry
			continue
		}
		if begun[part] == 0 {
			p.parts[part].batch++
		}
		begun[part]++
		verdicts[i] = p.parts[part].judge(c, claim.Ref{Part: part, Batch: p.parts[part].batch, Ord: begun[part]})
		if how == unanswered && part == 1 {
			verdicts[i] = claim.Verdict{Reason: reason.Retry}
		}
	}
	if how == death {
		return nil, errDeath
	}
	return verdicts, nil
}

func (p *tinyPart) judge(c claim.Claim, ref claim.Ref) claim.Verdict {
	key, body := c.Sub+"/"+c.ID, fmt.Sprint(c)
	if old, ok := p.known[key]; ok {
		if old.body != body {
			return claim.Verdict{Reason: reason.IDReused}
		}
		v := old.verdict
		v.First, v.Reason = v.Reason, reason.Replay
		return v
	}
	v := claim.Verdict{Reason: reason.OK, Ref: ref}
	q, _ := strconv.ParseInt(c.Quantities[0].Text, 10, 64)
	v.Milligrams, v.Points = q, q*100
	if q < 0 {
		v = claim.Verdict{Reason: reason.BelowMinimum, Ref: ref, Operands: reason.Operands{Field: "q", Got: c.Quantities[0].Text, Limit: "0"}}
	}
	if p.known == nil {
		p.known = map[string]recorded{}
	}
	p.known[key] = recorded{body, v}
	return v
}

const tinyMap = `scenario: s
only: {keep: [yes, "y"]}
id: "{id}"
member: "{who}"
day: "{day}"
evidence: system
quantities: {q: "{q}"}
`

type fataler interface{ Fatal(...any) }

// setUp writes files into a folder and returns a Config that imports them.
func setUp(t fataler, dir string, texts ...string) *Config {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := ParseMap("tiny.map.yaml", []byte(tinyMap))
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{
		Programme: "prog", Partner: "partner", Map: m, Lang: reason.EN, Enrol: true, Window: 3,
		Subs: filepath.Join(dir, "subs"), Report: filepath.Join(dir, "report.csv"),
	}
	for i, text := range texts {
		path := filepath.Join(dir, fmt.Sprintf("rows%d.csv", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Files = append(c.Files, path)
	}
	if err := c.check(); len(texts) > 0 && err != nil {
		t.Fatal(err)
	}
	return c
}

const sampleRows = `id,who,day,q,keep
1,ann,2024-09-01,100,yes
2,bob,2024-09-01,-5,yes
3,cho,2024-09-01,7,no
3,cho,2024-13-01,7,yes
"4,cho,2024-09-01,7,yes
1,ann,2024-09-01,100,y
1,ann,2024-09-01,101,yes

5,cho,2024-09-02,8,yes
6,dee,2024-09-02,0,yes
`

func TestImport(t *testing.T) {
	dir := t.TempDir()
	c := setUp(t, dir, sampleRows)
	p := &tiny{}
	got, err := load(t.Context(), p.platform(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := `rows 9 read 6 members 4 credited 2 unread 2 mg 108 points 10800 map[below-minimum:1 id-reused:1 ok:3 replay:1]`
	if s := tell(got); s != want {
		t.Errorf("import:\n got %s\nwant %s", s, want)
	}
	report := `row,id,reason,sentence,file
2,2,below-minimum,"q -5 < 0",FILE
4,3,unreadable,"day: ""2024-13-01"" is not a day such as 2024-09-02",FILE
5,,unreadable,column 1 (id): a quote that is not closed,FILE
6,1,replay,The first verdict; do not resend.,FILE
7,1,id-reused,1 has other content. Use a new id.,FILE
`
	if s := readReport(t, c); s != report {
		t.Errorf("report:\n got %s\nwant %s", s, report)
	}
	subs, _ := os.ReadFile(c.Subs)
	if s := string(subs); s != "tanpu-subs-1\tdb-1\tprog\tpartner\nann\tsub-0\nbob\tsub-1\ncho\tsub-2\ndee\tsub-3\n" {
		t.Errorf("subs: %q", s)
	}
	if info, _ := os.Stat(c.Subs); info.Mode().Perm() != 0o600 {
		t.Errorf("the subs have mode %v", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.journal")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	// Again: nothing is new.
	again, err := load(t.Context(), p.platform(), c)
	if err != nil {
		t.Fatal(err)
	}
	want = `rows 9 read 6 members 4 credited 0 unread 2 mg 0 points 0 map[id-reused:1 replay:5]`
	if s := tell(again); s != want || p.accounts != 4 {
		t.Errorf("second import, %d accounts:\n got %s\nwant %s", p.accounts, s, want)
	}
}

func readReport(t testing.TB, c *Config) string {
	text, err := os.ReadFile(c.Report)
	if err != nil {
		t.Fatal(err)
	}
	// Quoting is encoding/csv's business; bring both sides to one.
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.WriteAll(rows)
	s := b.String()
	for i, path := range c.Files {
		name := "FILE"
		if i > 0 {
			name = fmt.Sprint("FILE", i)
		}
		s = strings.ReplaceAll(s, path, name)
	}
	return strings.Replace(s, "q -5 < 0", "\"q -5 < 0\"", 1)
}

func tell(s Summary) string {
	return fmt.Sprintf("rows %d read %d members %d credited %d unread %d mg %d points %d %v",
		s.Rows, s.Read, s.Members, s.Credited, s.Unread, s.Milligrams, s.Points, s.Verdicts)
}

// Without leave to enrol, rows of unknown members are reported and nothing is sent for them.
func TestImportWithoutEnrolling(t *testing.T) {
	dir := t.TempDir()
	p := &tiny{}
	if _, err := load(t.Context(), p.platform(), setUp(t, dir, "id,who,day,q,keep\n1,ann,2024-09-01,100,yes\n")); err != nil {
		t.Fatal(err)
	}
	c := setUp(t, dir, "id,who,day,q,keep\n2,bob,2024-09-01,100,yes\n3,ann,2024-09-01,100,yes\n4,bob,2024-09-01,100,yes\n")
	c.Enrol = false
	got, err := load(t.Context(), p.platform(), c)
	want := `rows 3 read 3 members 2 credited 1 unread 0 mg 100 points 10000 map[no-link:2 ok:1]`
	if s := tell(got); err != nil || s != want || p.accounts != 1 {
		t.Errorf("%v, %d accounts:\n got %s\nwant %s", err, p.accounts, s, want)
	}
	report := "row,id,reason,sentence,file\n1,2,no-link,No consent at that time; nothing kept.,FILE\n3,4,no-link,No consent at that time; nothing kept.,FILE\n"
	if s := readReport(t, c); s != report {
		t.Errorf("report:\n got %s\nwant %s", s, report)
	}
}

// randomFile draws rows with repetitions, reused ids, refusals, bad rows and rows to leave out.
func randomFile(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("id,who,day,q,keep\n")
	for range rapid.IntRange(0, 25).Draw(t, "rows") {
		fmt.Fprintf(&b, "%d,m%d,2024-09-0%d,%d,%s\n", rapid.IntRange(0, 9).Draw(t, "id"), rapid.IntRange(0, 5).Draw(t, "who"),
			rapid.SampledFrom([]int{1, 1, 1, 1, 0}).Draw(t, "day"), rapid.SampledFrom([]int{5, 5, 5, 6, -1}).Draw(t, "q"),
			rapid.SampledFrom([]string{"yes", "yes", "yes", "no"}).Draw(t, "keep"))
	}
	return b.String()
}

// However often an import is killed and whatever answers are lost, in the end it comes to what it comes to
// when all goes well, in summary, report, subs and on the platform; and the claims were judged in the same order.
func TestImportSurvives(t *testing.T) {
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		survives(t, filepath.Join(root, fmt.Sprint(n)))
	})
}

func survives(t *rapid.T, root string) {
	texts := []string{randomFile(t), randomFile(t)}
	calm := &tiny{}
	calmConfig := setUp(t, filepath.Join(root, "a"), texts...)
	stormy := &tiny{}
	config := setUp(t, filepath.Join(root, "b"), texts...)
	if rapid.Bool().Draw(t, "imported before") {
		before := setUp(t, filepath.Join(root, "c"), texts[:1]...)
		for p, c := range map[*tiny]*Config{calm: calmConfig, stormy: config} {
			before.Subs = c.Subs
			if _, err := load(context.Background(), p.platform(), before); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, err := load(context.Background(), calm.platform(), calmConfig)
	if err != nil {
		t.Fatal(err)
	}
	stormy.trouble = func(int) trouble {
		return rapid.SampledFrom([]trouble{none, none, busy, unheard, unanswered, death}).Draw(t, "trouble")
	}
	var got Summary
	for tries := 0; ; tries++ {
		config.Window = rapid.IntRange(1, 9).Draw(t, "window")
		if tries == 50 {
			stormy.trouble = nil
		}
		got, err = load(context.Background(), stormy.platform(), config)
		if err == nil {
			break
		}
		if !errors.Is(err, errDeath) {
			t.Fatal(err)
		}
		tear(t, config)
	}
	if tell(got) != tell(want) {
		t.Errorf("killed and resumed: %s\nin one go:          %s", tell(got), tell(want))
	}
	if a, b := read(t, config.Report), read(t, calmConfig.Report); strings.ReplaceAll(a, "/b/", "/a/") != b {
		t.Errorf("report, killed and resumed:\n%s\nin one go:\n%s", a, b)
	}
	for i := range calm.parts {
		if !slices.Equal(verdictsOf(&calm.parts[i]), verdictsOf(&stormy.parts[i])) {
			t.Errorf("part %d differs", i)
		}
	}
}

func verdictsOf(p *tinyPart) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(p.known)) {
		all = append(all, key+" "+p.known[key].body)
	}
	return all
}

// tear leaves files as a crash may: with half a line at the end.
func tear(t *rapid.T, c *Config) {
	journals, _ := filepath.Glob(c.Subs + ".*.journal")
	for _, path := range append(journals, c.Subs, c.Report) {
		if rapid.Bool().Draw(t, "torn") {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString(`{"file":1,"row":99`)
			f.Close()
		}
	}
}

func read(t *rapid.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A file that ends in the middle has its whole rows imported, and then the error is said.
func TestImportOfACutFile(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte("id,who,day,q,keep\n"))
	for i := range 10_000 {
		fmt.Fprintf(z, "%d,m%d,2024-09-01,%d,yes\n", i, i%10, i*7919%1000)
	}
	z.Close()
	c := setUp(t, dir, b.String()[:b.Len()*3/4])
	c.Window = 500
	p := &tiny{}
	got, err := load(t.Context(), p.platform(), c)
	if err == nil || !strings.Contains(err.Error(), "rows0.csv: row ") || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("error = %v", err)
	}
	if got.Verdicts[reason.OK] < 5000 || got.Verdicts[reason.OK] != got.Read {
		t.Errorf("imported %s", tell(got))
	}
	// Mended, the file is another one: it is imported from the start, and what was there is a replay.
	if err := os.WriteFile(c.Files[0], b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := load(t.Context(), p.platform(), c)
	if err != nil || again.Verdicts[reason.OK]+got.Verdicts[reason.OK] != 10_000 {
		t.Errorf("after mending, %v: %s", err, tell(again))
	}
}

func TestImportGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		trouble trouble
		want    string
	}{
		"busy":    {busy, "sending claims for 1m"},
		"unheard": {unheard, "some claims were not judged, however often they were sent"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c := setUp(t, dir, "id,who,day,q,keep\n1,ann,2024-09-01,100,yes\n2,bob,2024-09-01,100,yes\n")
				p := &tiny{trouble: func(int) trouble { return test.trouble }}
				began := time.Now()
				platform := p.platform()
				platform.pause = pause
				_, err := load(context.Background(), platform, c)
				if err == nil || !strings.Contains(err.Error(), test.want) || time.Since(began) < patience {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

func TestImportStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &tiny{trouble: func(call int) trouble {
		if call == 2 {
			cancel()
		}
		return none
	}}
	c := setUp(t, t.TempDir(), sampleRows+strings.Repeat("7,ann,2024-09-01,1,yes\n", 100))
	if _, err := load(ctx, p.platform(), c); !errors.Is(err, context.Canceled) || p.calls != 2 {
		t.Errorf("stopped after %d calls: %v", p.calls, err)
	}
}

func TestSubsOfAnother(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "subs")
	s, err := openSubs(path, "db-1", "prog", "partner")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openSubs(path, "db-1", "prog", "partner"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a table in use was opened: %v", err)
	}
	s.close()
	for _, test := range []struct{ database, programme, partner, want string }{
		{"db-2", "prog", "partner", "these subs belong to database db-1, and this import is for db-2"},
		{"db-1", "gorp", "partner", "these subs belong to programme prog, and this import is for gorp"},
		{"db-1", "prog", "parts", "these subs belong to partner partner, and this import is for parts"},
	} {
		if _, err := openSubs(path, test.database, test.programme, test.partner); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("openSubs = %v, want %s", err, test.want)
		}
	}
	for text, want := range map[string]string{
		"id,who\n1,2\n": "this is not a table of subs",
		"id,who":        "this is not a table of subs",
		"tanpu-subs-1\tdb-1\tprog\tpartner\na\tx\na\ty\n":     "subs:3: want a member's id",
		"tanpu-subs-1\tdb-1\tprog\tpartner\nno sub\n":         "subs:2: want a member's id",
		"tanpu-subs-1\tdb-1\tprog\tpartner\na\tx\nb\ty\nc\tz": "",
		"tanpu-subs-1\tdb-1\tpr":                              "",
		"":                                                    "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := openSubs(path, "db-1", "prog", "partner")
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("openSubs(%q) = %v, want %s", text, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("openSubs(%q) = %v", text, err)
			continue
		}
		s.close()
		after, _ := os.ReadFile(path)
		if !strings.HasPrefix(string(after), "tanpu-subs-1\tdb-1\tprog\tpartner\n") || !strings.HasSuffix(string(after), "\n") {
			t.Errorf("openSubs(%q) left %q", text, after)
		}
	}
}

func TestConfigRefusesMixedUpFiles(t *testing.T) {
	dir := t.TempDir()
	c := setUp(t, dir, sampleRows)
	for name, change := range map[string]func(c *Config){
		"report over the rows":  func(c *Config) { c.Report = filepath.Join(dir, ".", "rows0.csv") },
		"subs over the rows":    func(c *Config) { c.Subs = c.Files[0] },
		"report over the subs":  func(c *Config) { c.Report = c.Subs },
		"no files":              func(c *Config) { c.Files = nil },
		"a folder":              func(c *Config) { c.Files = []string{dir} },
		"a file that is not":    func(c *Config) { c.Files = append(c.Files[:1:1], filepath.Join(dir, "none.csv")) },
		"a window out of bound": func(c *Config) { c.Window = maxWindow + 1 },
	} {
		other := *c
		change(&other)
		if err := other.check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A Parquet file comes to what a CSV with the same rows does: ids held as numbers, days as dates.
func TestImportParquet(t *testing.T) {
	type row struct {
		ID   int64   `parquet:"id"`
		Who  string  `parquet:"who,dict"`
		Day  int32   `parquet:"day,date"`
		Q    float64 `parquet:"q,optional"`
		Keep string  `parquet:"keep"`
	}
	path := writeParquet(t, []row{
		{1, "ann", 19967, 100, "yes"}, // 2024-09-01
		{1, "ann", 19967, 100, "yes"},
		{2, "bob", 19967, -5, "yes"},
		{3, "cho", 19967, 7, "no"},
		{4, "cho", 19968, 0.5e1, "y"},
	})
	c := setUp(t, t.TempDir())
	c.Files = []string{path}
	got, err := load(t.Context(), (&tiny{}).platform(), c)
	want := `rows 5 read 4 members 3 credited 2 unread 0 mg 105 points 10500 map[below-minimum:1 ok:2 replay:1]`
	if s := tell(got); err != nil || s != want {
		t.Errorf("%v:\n got %s\nwant %s", err, s, want)
	}
}
