package main

import "io"

func runAudit(args []string, stdout, stderr io.Writer) int { return 1 }
