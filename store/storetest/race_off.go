//go:build !race

package storetest

// Raced says that the race detector is on, under which everything takes some ten times as long.
const Raced = false
