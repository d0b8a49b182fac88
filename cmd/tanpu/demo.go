package main

import (
	"context"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// The demo's programme and its partner, as library/programmes/demo-city.programme.yaml has them.
const (
	demoProgramme = "demo-city"
	demoPartner   = "valleybike"
)

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
