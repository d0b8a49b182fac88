// Package importing brings a partner's files into the platform: it reads rows in the file's order, makes
// claims of them by a map, sends those through intake like any others, and says what was not accepted.
//
// It stands on the partner's side. The partner's own ids of people stay there, in the table of subs; the
// platform learns the pseudonyms only.
//
// An import can be killed anywhere and run again. It then goes on after the last window of which it knows
// the verdicts; what it had sent beyond is sent again, and intake answers that with the first verdicts. A
// run after one that ended starts over, and every claim is a replay. Memory does not grow with the rows,
// but with the members, some 200 bytes for each.
package importing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// Config says what to import.
type Config struct {
	Programme string
	Partner   string
	Map       *Map
	Files     []string    // read in this order
	Subs      string      // the file with the partner's table of subs
	Report    string      // the file that gets what was not accepted, as CSV
	Lang      reason.Lang // of the report
	Enrol     bool        // open accounts for members who have no sub
	Backfill  bool        // judge neither lateness nor the time from which a link is in force
	Window    int         // claims sent at a time; 0 for UsualWindow

	// Progress hears how far the import is, after every window. It may be nil.
	Progress func(Progress)
	// Done hears the summary while the import can still be resumed: whoever is killed before it returns
	// hears the same again from the next run. It may be nil.
	Done func(Summary) error
}

// UsualWindow is how many claims are sent at a time when nobody says otherwise.
const UsualWindow = 10_000

const maxWindow = 100_000

// Progress is how far an import is.
type Progress struct {
	Rows  int64
	Share float64 // of the files' bytes
}

// A Summary is what an import came to.
type Summary struct {
	Rows       int64                 `json:"rows"` // in the files
	Read       int64                 `json:"read"` // those that the map's only lets through and that could be read
	Members    int64                 `json:"members"`
	Verdicts   map[reason.Code]int64 `json:"verdicts"` // they add up to Read
	Milligrams int64                 `json:"reduction_mg"`
	Points     int64                 `json:"points_thousandths"`
	Credited   int64                 `json:"credited_members"` // whose results of this import are positive
	Seconds    float64               `json:"seconds"`
	Unread     int64                 `json:"-"` // rows that could not be read
	Resumed    bool                  `json:"-"` // it went on where a run before it was stopped
}

// Run imports the files. What it has done when it returns an error stays done; run again, it goes on there.
func Run(ctx context.Context, db *store.DB, c Config) (Summary, error) {
	if err := c.check(); err != nil {
		return Summary{}, err
	}
	p, err := attach(ctx, db, &c)
	if err != nil {
		return Summary{}, err
	}
	defer p.close()
	return load(ctx, p, &c)
}

func load(ctx context.Context, p *platform, c *Config) (Summary, error) {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops the reading
	r, err := begin(ctx, p, c)
	if err != nil {
		return Summary{}, err
	}
	defer r.close()
	for w := range readAhead(ctx, c, p.zone) {
		if err := ctx.Err(); err != nil {
			return r.summary, fmt.Errorf("stopped after row %d: %w", r.summary.Rows, err)
		}
		if err := r.take(ctx, w); err != nil {
			return r.summary, err
		}
	}
	if err := ctx.Err(); err != nil {
		return r.summary, fmt.Errorf("stopped after row %d: %w", r.summary.Rows, err)
	}
	r.summary.Credited = r.subs.credited()
	r.summary.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	return r.summary, r.end()
}

// check refuses what cannot work, before anything is opened or written.
func (c *Config) check() error {
	if c.Window == 0 {
		c.Window = UsualWindow
	}
	if c.Window < 1 || c.Window > maxWindow {
		return fault.New(fault.Invalid, "claims are sent 1 to %d at a time, not %d", maxWindow, c.Window)
	}
	if len(c.Files) == 0 {
		return fault.New(fault.Invalid, "no file to import")
	}
	for _, path := range c.Files {
		s, err := openBound(path, c.Map)
		if err != nil {
			return err
		}
		s.close()
		for what, ours := range map[string]string{"report": c.Report, "table of subs": c.Subs} {
			if sameFile(path, ours) {
				return fault.New(fault.Invalid, "%s is to be read and cannot be the %s too", path, what)
			}
		}
	}
	if sameFile(c.Subs, c.Report) {
		return fault.New(fault.Invalid, "%s cannot be the report and the table of subs", c.Subs)
	}
	return nil
}

// A run is an import under way. What it knows of the past is in three files, each as far as the last
// checkpoint says: the subs, the report, and the journal itself.
type run struct {
	*Config
	*platform
	subs    *subs
	report  *report
	journal *journal
	total   int64 // bytes of the files
	past    checkpoint
	summary Summary
}

// begin checks all that can be wrong before anything is sent, and picks up what an interrupted run left.
func begin(ctx context.Context, p *platform, c *Config) (_ *run, err error) {
	r := &run{Config: c, platform: p}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	marks, err := marksOf(c.Files)
	if err != nil {
		return nil, err
	}
	for _, m := range marks {
		r.total += m.size
	}
	if r.subs, err = openSubs(c.Subs, p.database, c.Programme, c.Partner); err != nil {
		return nil, err
	}
	var interrupted bool
	if r.journal, r.past, interrupted, err = openJournal(c.Subs, c.key(p.database, marks), r.subs); err != nil {
		return nil, err
	}
	if interrupted {
		r.report, err = resumeReport(c.Report, r.past.Report)
	}
	r.summary.Resumed = r.report != nil
	if r.report == nil && err == nil { // also where the report of the interrupted run is gone: start over
		err = r.startOver(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.summary.Verdicts = r.past.Verdicts
	r.summary.Milligrams, r.summary.Points = r.past.Milligrams, r.past.Points
	return r, nil
}

func (r *run) startOver(ctx context.Context) (err error) {
	r.past = checkpoint{Verdicts: map[reason.Code]int64{}, Heads: map[int]claim.Ref{}}
	clear(r.subs.sum)
	batches, err := r.heads(ctx)
	if err != nil {
		return err
	}
	for part, number := range batches {
		r.past.Heads[part] = claim.Ref{Part: part, Batch: number, Ord: math.MaxInt}
	}
	if r.report, err = createReport(r.Config.Report); err != nil {
		return err
	}
	r.past.Report = r.report.size
	return r.journal.begin(r.past)
}

func (r *run) close() {
	if r.subs != nil {
		r.subs.close()
	}
	if r.report != nil {
		r.report.close()
	}
	if r.journal != nil {
		r.journal.close()
	}
}

// end lets go of the journal: the next run starts over.
func (r *run) end() error {
	if err := r.report.flush(); err != nil {
		return err
	}
	if r.Done != nil {
		if err := r.Done(r.summary); err != nil {
			return err
		}
	}
	return r.journal.remove()
}

// take does one window: gives its members subs, sends its claims, and notes what became of them.
func (r *run) take(ctx context.Context, w window) error {
	items := r.arrive(w)
	if w.err != nil && len(items) == 0 {
		return w.err
	}
	if err := r.enrol(ctx, items); err != nil {
		return err
	}
	// Killed here, the members have subs and no claims yet; the next run sends them.
	verdicts, err := r.submit(ctx, r.claims(items))
	if err != nil {
		return err
	}
	// Killed here, the claims are judged and we do not know: sent again, they come back as replays beyond
	// the checkpoint's heads, and are told by that from the file's own repetitions.
	if err := r.note(items, verdicts); err != nil {
		return err
	}
	if r.Progress != nil {
		r.Progress(Progress{Rows: r.summary.Rows, Share: float64(w.done) / float64(max(r.total, 1))})
	}
	return w.err
}

// arrive counts a window's rows and returns the items that an interrupted run has not done with.
func (r *run) arrive(w window) []item {
	r.summary.Rows += w.rows
	items := w.items
	for i := range items {
		it := &items[i]
		if it.wrong != nil {
			r.summary.Unread++
			continue
		}
		r.summary.Read++
		it.place = r.subs.place(it.member)
		if !r.subs.met[it.place] {
			r.subs.met[it.place] = true
			r.summary.Members++
		}
	}
	for len(items) > 0 && !items[0].after(r.past.File, r.past.Row) {
		items = items[1:]
	}
	return items
}

// enrol opens accounts for the window's members who have none.
func (r *run) enrol(ctx context.Context, items []item) error {
	if !r.Enrol {
		return nil
	}
	var members []string
	asked := map[int32]bool{}
	for i := range items {
		it := &items[i]
		if it.wrong == nil && r.subs.sub[it.place] == "" && !asked[it.place] {
			asked[it.place] = true
			members = append(members, it.member)
		}
	}
	if len(members) == 0 {
		return nil
	}
	given, err := r.platform.enrol(ctx, len(members))
	if err != nil {
		return fmt.Errorf("enrolling %d members: %w", len(members), err)
	}
	if len(given) != len(members) {
		return fmt.Errorf("enrolling %d members gave %d subs", len(members), len(given))
	}
	return r.subs.record(members, given)
}

// claims returns the items' claims, of members who have a sub.
func (r *run) claims(items []item) []claim.Claim {
	claims := make([]claim.Claim, 0, len(items))
	for i := range items {
		if it := &items[i]; it.wrong == nil && r.subs.sub[it.place] != "" {
			it.claim.Sub = r.subs.sub[it.place]
			claims = append(claims, it.claim)
		}
	}
	return claims
}

// patience is how long we try to be heard, in pauses that grow.
const patience = 60 * time.Second

// submit sends claims until each has a verdict. Those that come back unjudged are sent again, in their
// order, before anything later is.
func (r *run) submit(ctx context.Context, claims []claim.Claim) ([]claim.Verdict, error) {
	verdicts := make([]claim.Verdict, len(claims))
	left := make([]int, len(claims)) // where the claims still to be judged stand among all
	for i := range left {
		left[i] = i
	}
	var waited time.Duration
	for wait := 20 * time.Millisecond; len(claims) > 0; wait = min(2*wait, 5*time.Second) {
		got, err := r.platform.submit(ctx, claims)
		switch kind := fault.KindOf(err); {
		case err != nil && kind != fault.Busy && kind != fault.Unavailable:
			return nil, fmt.Errorf("sending claims: %w", err)
		case err != nil && waited >= patience:
			return nil, fmt.Errorf("sending claims for %v: %w", waited, err)
		case err == nil && len(got) != len(claims):
			return nil, fmt.Errorf("sending %d claims gave %d verdicts", len(claims), len(got))
		case err == nil:
			var again []claim.Claim
			var still []int
			for i, v := range got {
				verdicts[left[i]] = v
				if v.Reason == reason.Retry {
					again, still = append(again, claims[i]), append(still, left[i])
				}
			}
			if len(again) < len(claims) {
				wait, waited = 20*time.Millisecond, 0
			}
			claims, left = again, still
		}
		if len(claims) == 0 {
			break
		}
		if waited >= patience {
			return nil, errors.New("some claims were not judged, however often they were sent; run the import again later")
		}
		if err := r.pause(ctx, wait); err != nil {
			return nil, err
		}
		waited += wait
	}
	return verdicts, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// note adds a window to the summary and the report, and then to the journal.
func (r *run) note(items []item, verdicts []claim.Verdict) error {
	if len(items) == 0 {
		return nil
	}
	credit := map[int32]int64{}
	for i := range items {
		it := &items[i]
		switch {
		case it.wrong != nil:
			r.report.line(r.Files[it.file], it, unreadable, it.wrong.Error())
			continue
		case r.subs.sub[it.place] == "":
			r.tally(it, claim.Verdict{Reason: reason.NoLink}, nil)
			continue
		}
		r.tally(it, r.first(verdicts[0]), credit)
		verdicts = verdicts[1:]
	}
	if err := r.report.flush(); err != nil {
		return err
	}
	last := &items[len(items)-1]
	return r.checkpoint(last.file, last.row, credit)
}

// first undoes a replay of our own making: of a claim that was recorded after all that the summary knows.
// Its verdict did not reach us, because a run was killed or an answer lost. Claims of a partition are
// recorded in the order of the file, so the file's own repetitions always refer to what came before.
func (r *run) first(v claim.Verdict) claim.Verdict {
	head := r.past.Heads[v.Ref.Part]
	if v.Ref == (claim.Ref{}) || v.Ref.Batch < head.Batch || v.Ref.Batch == head.Batch && v.Ref.Ord <= head.Ord {
		return v
	}
	r.past.Heads[v.Ref.Part] = v.Ref
	if v.Reason == reason.Replay {
		v.Reason, v.First = v.First, ""
	}
	return v
}

// tally counts a verdict. Only what is newly accepted credits anything.
func (r *run) tally(it *item, v claim.Verdict, credit map[int32]int64) {
	r.summary.Verdicts[v.Reason]++
	if v.Reason.Kind() != reason.Accepted {
		r.report.line(r.Files[it.file], it, string(v.Reason), claim.ForPartner(&it.claim, &v, r.Lang))
		return
	}
	r.summary.Milligrams += v.Milligrams
	r.summary.Points += v.Points
	if v.Milligrams != 0 {
		r.subs.sum[it.place] += v.Milligrams
		credit[it.place] += v.Milligrams
	}
}

// checkpoint notes that everything up to a row is done with.
func (r *run) checkpoint(file int, row int64, credit map[int32]int64) error {
	r.past = checkpoint{
		File: file, Row: row, Report: r.report.size, Heads: r.past.Heads, Credit: credit,
		Verdicts: r.summary.Verdicts, Milligrams: r.summary.Milligrams, Points: r.summary.Points,
	}
	return r.journal.add(r.past)
}

// An item is a row that the map lets through: a claim to be, or what is wrong with it.
type item struct {
	file   int
	row    int64 // from 1, after the row that names the columns
	member string
	place  int32 // of the member in the table of subs
	claim  claim.Claim
	wrong  *RowError
}

func (it *item) after(file int, row int64) bool {
	return it.file > file || it.file == file && it.row > row
}

// A window is a stretch of rows whose claims are sent together.
type window struct {
	items []item
	rows  int64 // those that only left out among them
	done  int64 // bytes of the files read up to its end
	err   error // why there is no more, after the items
}

// readAhead reads the files while claims are being judged, one window ahead.
func readAhead(ctx context.Context, c *Config, zone *time.Location) <-chan window {
	windows := make(chan window, 1)
	go func() {
		defer close(windows)
		g := gathering{reader: newReader(c.Map, c.Partner, zone), size: c.Window, out: windows, stop: ctx.Done()}
		for i, path := range c.Files {
			if g.err = g.read(i, path); g.err != nil {
				break
			}
		}
		g.done = g.base
		g.send()
	}()
	return windows
}

// A gathering is a window in the making.
type gathering struct {
	reader
	window
	size int
	base int64 // bytes of the files before this one
	out  chan<- window
	stop <-chan struct{}
}

func (g *gathering) read(file int, path string) error {
	s, err := openBound(path, g.Map)
	if err != nil {
		return err
	}
	defer s.close()
	row := make([]string, len(g.columns))
	for n := int64(1); ; n++ {
		err := s.next(row)
		if err == io.EOF {
			g.base += s.size
			return nil
		}
		var wrong *RowError
		if err != nil && !errors.As(err, &wrong) {
			return fmt.Errorf("reading %s: row %d: %w", path, n, err)
		}
		g.rows++
		if wrong == nil && !g.wanted(row) {
			continue
		}
		it := item{file: file, row: n, wrong: wrong}
		if wrong == nil {
			it.member, it.claim, it.wrong = g.claim(row)
		}
		g.items = append(g.items, it)
		if len(g.items) == g.size {
			g.done = g.base + s.done.Load()
			if !g.send() {
				return context.Canceled
			}
		}
	}
}

// send hands the window over and begins the next. It returns false when nobody waits for it any more.
func (g *gathering) send() bool {
	w := g.window
	g.window = window{items: make([]item, 0, g.size)}
	select {
	case g.out <- w:
		return true
	case <-g.stop:
		return false
	}
}
