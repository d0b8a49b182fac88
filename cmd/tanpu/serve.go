package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

// drain bounds how long a server that was told to end waits for the requests that it took, and the database for it.
const drain = 60 * time.Second

// runServe carries out “tanpu serve”. Told to end, it answers what it took.
func runServe(args []string, _, stderr io.Writer) int {
	flags := newFlags("serve", "--db URL [--listen ADDR] [--host NAME,… | --sandbox] [--log-key FILE | --no-seal] [--witness 'URL KEY']… [--metrics ADDR]", stderr)
	url := flags.String("db", "", "the database")
	listen := flags.String("listen", "localhost:8080", "where to answer: HOST:PORT")
	writers := flags.Int("writers", 0, "partitions written at once; 0 for what suits the engine")
	hosts := flags.String("host", "", "what partners call this server, as they sign it: NAME[:PORT], several parted by commas; needed where others than this machine are answered")
	sandbox := flags.Bool("sandbox", false, "take partners' API keys as well; without it partners must sign their requests")
	key := logKeyFlag(flags)
	noSeal := flags.Bool("no-seal", false, "leave the log to other servers of the same database")
	var witnesses witnessList
	flags.Var(&witnesses, "witness", "a witness to ask for cosignatures: its address and its public key, with a space between; can be given several times")
	watched := flags.String("metrics", "", "where to answer GET /metrics, for the operator's Prometheus alone: HOST:PORT; without it nowhere")
	profile := flags.String("cpuprofile", "", "write a CPU profile to this file, for go tool pprof")
	if err := parse(flags, args, "db"); err != nil {
		return status(err, stderr)
	}
	names := hostsOf(*hosts)
	if len(names) == 0 && !*sandbox && !loopback(*listen) {
		fmt.Fprintf(stderr, "tanpu serve: say with --host what partners call this server: at %s it would take requests that they signed for another one\n", *listen)
		return 2
	}
	for _, h := range names {
		if strings.ContainsAny(h, "/ @") {
			fmt.Fprintf(stderr, "tanpu serve: --host is a name, with a port if it has one (tanpu.example.org), and not %s\n", h)
			return 2
		}
	}
	if *profile != "" {
		stop, err := startProfile(*profile)
		if err != nil {
			return status(err, stderr)
		}
		defer stop()
	}
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	db, err := store.Open(ctx, *url)
	if err != nil {
		return status(err, stderr)
	}
	defer db.Close()
	context.AfterFunc(ctx, stop) // told twice, it ends at once
	var sealer *seal.Sealer
	if !*noSeal {
		if sealer, err = newSealer(ctx, db, *url, *key, witnesses, log); err != nil {
			return status(err, stderr)
		}
	} else if err := whole(ctx, db, *url, *key); fault.KindOf(err) == fault.NotFound {
		log.Warn("without the log's key nothing here tells whether the database is the one whose log was signed last")
	} else if err != nil {
		return status(err, stderr)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return status(fmt.Errorf("cannot answer at %s: %w", *listen, err), stderr)
	}
	way := api.Config{Sandbox: *sandbox, Hosts: names, Witnesses: witnesses.keys(), Metrics: api.NewMetrics()}
	if *watched != "" {
		l, err := net.Listen("tcp", *watched)
		if err != nil {
			return status(fmt.Errorf("cannot answer GET /metrics at %s: %w", *watched, err), stderr)
		}
		server := &http.Server{Handler: way.Metrics.Handler(), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
		go server.Serve(l)
		defer server.Close()
		log.Info("answering GET /metrics", "at", l.Addr().String())
	}
	log.Info("answering", "at", listener.Addr().String(), "database", db.ID)
	return status(serve(ctx, db, listener, sealer, intake.Config{Writers: *writers, Log: log}, way), stderr)
}

// loopback says that only this machine can ask at an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// hostsOf reads the names of a server.
func hostsOf(list string) (hosts []string) {
	for _, h := range strings.Split(list, ",") {
		if h = strings.TrimSpace(h); h != "" {
			hosts = append(hosts, signature.Host(h))
		}
	}
	return hosts
}

// newSealer makes sure that the database holds all that was ever signed, before anything is written to it.
func newSealer(ctx context.Context, db *store.DB, url, key string, witnesses witnessList, log *slog.Logger) (*seal.Sealer, error) {
	signer, err := openSigner(key, url, db)
	if err != nil {
		return nil, err
	}
	return seal.New(ctx, seal.Config{DB: db, Signer: signer, Witnesses: witnesses.asked(), Log: log})
}

// serve answers on the listener until ctx ends, and then all that it took; what it answered is sealed.
func serve(ctx context.Context, db *store.DB, listener net.Listener, sealer *seal.Sealer, config intake.Config, way api.Config) error {
	if way.Metrics == nil {
		way.Metrics = api.NewMetrics()
	}
	config.Observe = way.Metrics.Written
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if sealer != nil {
		way.Unfit = sealer.Unfit
		sealing, end := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			sealer.Run(sealing)
		}()
		defer func() { // after the last answer
			end()
			<-ended
		}()
	}
	finishing, finish := context.WithCancel(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		finishErasures(finishing, db, config.Log)
	}()
	defer func() {
		finish()
		<-finished
	}()
	in := intake.New(db, config)
	way.DB, way.Intake, way.Log = db, in, config.Log
	server := api.New(way)
	err := answerUntil(ctx, server, listener, in.Close)
	config.Log.Info("ended")
	return err
}

// finishEvery is how often a server looks for erasures that broke off, and forgets the keys of those that others carried out.
const finishEvery = 10 * time.Minute

// finishErasures ends erasures that broke off with the server that they were asked of.
func finishErasures(ctx context.Context, db *store.DB, log *slog.Logger) {
	flow := erase.New(db)
	for {
		if n, err := flow.Finish(ctx, time.Now()); err != nil && ctx.Err() == nil {
			log.Error("finishing erasures", "error", err.Error())
		} else if n > 0 {
			log.Info("finished erasures that had broken off", "accounts", n)
		}
		if err := db.Refresh(ctx); err != nil && ctx.Err() == nil {
			log.Error("forgetting links that have ended", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(finishEvery):
		}
	}
}

// answerUntil serves until ctx ends, and then answers what was taken; last, within the same time, it lets rest end.
func answerUntil(ctx context.Context, server *http.Server, listener net.Listener, rest func(context.Context)) error {
	failed := make(chan error, 1)
	go func() {
		failed <- server.Serve(listener)
		close(failed)
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err = errors.Join(err, server.Shutdown(ending))
	rest(ending)
	if served := <-failed; served != nil && !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func startProfile(file string) (stop func(), err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
