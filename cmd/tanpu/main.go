// Command tanpu is the whole platform in one binary.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // zones are part of what a methodology means, whatever the machine has installed
)

const usage = `usage: tanpu COMMAND

commands:
  method   check, explain and list methodologies
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "method":
		os.Exit(runMethod(args, os.Stdout, os.Stderr))
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
