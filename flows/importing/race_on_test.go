//go:build race

package importing_test

const raceDetector = true
