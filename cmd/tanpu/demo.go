package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/importing"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/library"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// The demo's programme and its partner, as library/programmes/demo-city.programme.yaml has them.
const (
	demoProgramme = "demo-city"
	demoPartner   = "valleybike"
)

// A demo shows the platform's main job on four weeks of real trips.
type demo struct {
	url    string
	listen string
	once   bool
	json   bool
	lang   string
	dir    string // a temporary folder
	stdout io.Writer
}

// runDemo carries out “tanpu demo”.
func runDemo(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("demo", "[--once] [--json] [--db URL]", stderr)
	d := &demo{stdout: stdout}
	flags.StringVar(&d.url, "db", "", "the database to use; by default one in a temporary folder, gone afterwards")
	flags.StringVar(&d.listen, "listen", "localhost:8080", "where to serve the API afterwards: HOST:PORT")
	flags.BoolVar(&d.once, "once", false, "end after the audit instead of serving")
	flags.BoolVar(&d.json, "json", false, "print the summary as JSON")
	flags.StringVar(&d.lang, "lang", langOfEnvironment(), "zh or en")
	if err := parse(flags, args); err != nil {
		return status(err, stderr)
	}
	if d.lang != "zh" && d.lang != "en" || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return status(d.run(ctx), stderr)
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "tanpu-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	if d.url == "" {
		d.url = "sqlite:" + filepath.Join(d.dir, "tanpu.db")
	}
	db, err := store.Create(ctx, d.url, store.DefaultParts)
	if err != nil {
		return err
	}
	defer db.Close()
	if n, err := db.Rulebook(ctx); err != nil {
		return err
	} else if n > 0 {
		book, err := publish.Load(ctx, db, n)
		if err != nil {
			return err
		}
		if book.Programmes[demoProgramme] == nil {
			return fault.New(fault.Conflict, "that database holds something else; the demo wants one of its own")
		}
	}
	book, err := publishDemo(ctx, db)
	if err != nil {
		return err
	}
	if err := beginLog(ctx, db, d.url, "", "", io.Discard); err != nil {
		return err
	}
	summary, err := d.importTrips(ctx, db)
	if err != nil {
		return err
	}
	report, err := audit.Run(ctx, db, audit.Options{})
	if err != nil {
		return err
	}
	if d.json {
		err = json.NewEncoder(d.stdout).Encode(struct {
			importing.Summary
			Audit *audit.Report `json:"audit"`
		}{summary, report})
	} else {
		err = d.tell(ctx, db, book, summary, report)
	}
	if err != nil {
		return err
	}
	if !report.Clean() {
		return errors.New("the audit found what should not be")
	}
	if d.once {
		return nil
	}
	return d.serve(ctx, db)
}

// publishDemo publishes what ships with tanpu, the demo programmes included.
func publishDemo(ctx context.Context, db *store.DB) (*rulebook.Rulebook, error) {
	files, err := readDocuments(nil, true)
	if err != nil {
		return nil, err
	}
	programmes, err := shippedFiles("programmes")
	if err != nil {
		return nil, err
	}
	report, err := publish.Publish(ctx, db, append(files, programmes...))
	if err != nil {
		return nil, err
	}
	return publish.Load(ctx, db, report.Rulebook)
}

// importTrips imports the trips that ship with tanpu. The partner's table of subs stays beside the
// database, where there is one, so that a second run knows the members of the first.
func (d *demo) importTrips(ctx context.Context, db *store.DB) (importing.Summary, error) {
	trips := filepath.Join(d.dir, "trips.csv.gz")
	data, err := library.Demo.ReadFile("demo/trips.csv.gz")
	if err != nil {
		return importing.Summary{}, err
	}
	if err := os.WriteFile(trips, data, 0o600); err != nil {
		return importing.Summary{}, err
	}
	text, err := library.Demo.ReadFile("demo/trips.map.yaml")
	if err != nil {
		return importing.Summary{}, err
	}
	m, err := importing.ParseMap("trips.map.yaml", text)
	if err != nil {
		return importing.Summary{}, err
	}
	return importing.Run(ctx, db, importing.Config{
		Programme: demoProgramme, Partner: demoPartner, Map: m, Files: []string{trips},
		Subs: d.subs(db), Report: filepath.Join(d.dir, "report.csv"), Enrol: true, Backfill: true,
	})
}

func (d *demo) subs(db *store.DB) string {
	if file, ok := strings.CutPrefix(d.url, "sqlite:"); ok {
		return file + ".demo-subs"
	}
	return "tanpu-demo-" + db.ID[:8] + ".subs"
}

// say prints the sentence in the demo's language.
func (d *demo) say(zh, en string, args ...any) {
	format := en
	if d.lang == "zh" {
		format = zh
	}
	fmt.Fprintf(d.stdout, format+"\n", args...)
}

// tell prints what happened as a person would like to read it.
func (d *demo) tell(ctx context.Context, db *store.DB, book *rulebook.Rulebook, s importing.Summary, r *audit.Report) error {
	d.say("演示数据：真实的共享单车骑行（ValleyBike，美国，2018 年，MIT 许可），平移到 2025 年 3 月。",
		"Demonstration data: real bike-share trips (ValleyBike, USA, 2018, MIT licence), moved to March 2025.")
	d.say("导入 %s 条骑行，%s 位用户，用时 %.1f 秒。\n", "%s trips of %s members imported in %.1f s.\n", thousands(s.Rows), thousands(s.Members), s.Seconds)
	d.verdicts(s)
	d.say("\n共计入 %s 吨 CO₂e（%s 位用户），发放 %s 积分。", "\n%s t CO₂e credited (%s members), for %s points.",
		fixed(s.Milligrams, 1e9, 3), thousands(s.Credited), fixed(s.Points, 1000, 1))
	if err := d.working(ctx, db, book); err != nil {
		return err
	}
	d.say("审计：由数据行重新推算 %s 条申报、%s 个批次，发现 %d 处问题，用时 %.1f 秒。",
		"Audit: %s claims in %s batches derived again from the rows, %d findings, in %.1f s.",
		thousands(r.Claims), thousands(r.Batches), len(r.Findings), r.Seconds)
	return nil
}

// verdicts lists how many claims got which, the accepted first and then by number.
func (d *demo) verdicts(s importing.Summary) {
	lang := reason.EN
	if d.lang == "zh" {
		lang = reason.ZH
	}
	for _, kind := range []reason.Kind{reason.Accepted, reason.Duplicate, reason.Refused} {
		for i := len(reason.All) - 1; i >= 0; i-- {
			if code := reason.All[i]; code.Kind() == kind && s.Verdicts[code] > 0 {
				fmt.Fprintf(d.stdout, "  %9s  %-19s %s\n", thousands(s.Verdicts[code]), code, reason.Label(code, lang, false))
			}
		}
	}
}

// working shows the arithmetic of one accepted claim.
func (d *demo) working(ctx context.Context, db *store.DB, book *rulebook.Rulebook) error {
	for n := claim.Number(1); n < 50; n++ {
		rows, err := db.Claims(ctx, store.AccountID{Part: 0, Number: n}, store.Place{}, string(reason.OK), 1)
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[0].Verdict.Method != "DEMO-BIKE@1" {
			continue
		}
		m := book.Method("DEMO-BIKE", rows[0].Start)
		c := rows[0].Claim
		if m == nil || !claim.ParseBody(&c, rows[0].Body) {
			continue
		}
		text, err := m.Explain(methodology.Given{
			Start: c.Start, End: c.End, Region: book.Programmes[demoProgramme].Region, Evidence: c.Evidence, Quantities: c.Quantities,
		}, d.lang)
		if err != nil {
			return err
		}
		d.say("\n其中一条的算式（%s）：\n", "\nThe working of one of them (%s):\n", rows[0].Verdict.Ref)
		_, err = fmt.Fprintln(d.stdout, indent(text))
		return err
	}
	return nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// fixed writes n units of 1/per, rounded down to so many places.
func fixed(n, per int64, places int) string {
	whole, rest := n/per, n%per
	scale := int64(1)
	for range places {
		scale *= 10
	}
	return fmt.Sprintf("%s.%0*d", thousands(whole), places, rest*scale/per)
}

// serve answers until it is told to end.
func (d *demo) serve(ctx context.Context, db *store.DB) error {
	listener, err := net.Listen("tcp", d.listen)
	if err != nil {
		return fault.New(fault.Conflict, "cannot serve at %s: %s; choose another with --listen, or end with --once", d.listen, err)
	}
	d.say("API 文档：http://%s/docs（Ctrl-C 结束）", "API: http://%s/docs (Ctrl-C ends)", listener.Addr())
	sealer, err := newSealer(ctx, db, d.url, "", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return serve(ctx, db, listener, sealer, intake.Config{}, api.Config{Sandbox: true})
}
