//go:build !linux

package storetest

import "testing"

func folder(t testing.TB) string { return t.TempDir() }
