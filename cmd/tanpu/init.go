package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/library"
	"github.com/tanpu/tanpu/store"
)

// runInit carries out “tanpu init”: it makes or migrates a database and publishes documents.
func runInit(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("init", "--db URL [--library] [--parts N] [--origin NAME] [FILE…]", stderr)
	url := flags.String("db", "", "the database: sqlite:FILE or postgres://…")
	parts := flags.Int("parts", store.DefaultParts, "partitions of a new database; fixed for good")
	shipped := flags.Bool("library", false, "publish the groups, factors and methodologies that ship with tanpu")
	origin := flags.String("origin", "", "the name of a new database's log, such as your host's and a path; fixed for good")
	key := logKeyFlag(flags)
	if err := parse(flags, args, "db"); err != nil {
		return status(err, stderr)
	}
	files, err := readDocuments(flags.Args(), *shipped)
	if err != nil {
		return status(err, stderr)
	}
	ctx := context.Background()
	db, err := store.Create(ctx, *url, *parts)
	if err != nil {
		return status(err, stderr)
	}
	defer db.Close()
	if len(files) > 0 {
		err = whole(ctx, db, *url, *key)
	} else {
		err = wholeIfKnown(ctx, db, *url, *key, stderr) // it brings the schema up to date where the log's key need not be
	}
	if err != nil {
		return status(err, stderr)
	}
	report, err := publish.Publish(ctx, db, files)
	if err != nil {
		return status(err, stderr)
	}
	fmt.Fprintf(stdout, "database %s, %d partitions\n", db.ID, db.Parts)
	for _, name := range report.Published {
		fmt.Fprintln(stdout, "published", name)
	}
	if n := len(report.Unchanged); n > 0 {
		fmt.Fprintln(stdout, n, "documents were there already")
	}
	fmt.Fprintln(stdout, "rulebook", report.Rulebook)
	return status(beginLog(ctx, db, *url, *key, *origin, stdout), stderr)
}

// readDocuments reads the files named and, if asked, what ships with tanpu but for its programmes, which
// are examples.
func readDocuments(names []string, shipped bool) ([]publish.File, error) {
	var files []publish.File
	if shipped {
		for _, folder := range []string{"groups", "factors", "methodologies"} {
			more, err := shippedFiles(folder)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, publish.File{Name: filepath.Base(name), Text: text})
	}
	return files, nil
}

func shippedFiles(folder string) ([]publish.File, error) {
	var files []publish.File
	names, err := fs.Glob(library.FS, folder+"/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := library.FS.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, publish.File{Name: filepath.Base(name), Text: text})
	}
	return files, nil
}
