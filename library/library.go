// Package library carries the documents that ship with Tanpu: groups, factors, methodologies and
// programmes. They are data; nothing here decides anything.
package library

import "embed"

// FS holds groups/, factors/, methodologies/ and programmes/, each file named after what it is
// (*.groups.yaml, *.factors.yaml, *.methodology.yaml, *.programme.yaml).
//
//go:embed groups factors methodologies programmes
var FS embed.FS

// Demo holds demo/: four weeks of real trips (trips.csv.gz) with the map that imports them
// (trips.map.yaml), their licence, and in ORIGIN.md where they are from. They are demonstration data.
//
//go:embed demo
var Demo embed.FS
