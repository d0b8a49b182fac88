//go:build !race

package restate_test

const raceDetector = false
