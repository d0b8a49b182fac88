package main

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/witness"
)

// A witnessList is the witnesses that a server asks, as its flags name them.
type witnessList []asked

// An asked witness is its client, and the public key that receipts name.
type asked struct {
	*witness.Client
	key string
}

// Cosign asks for a signature; see seal.Witness.
func (a asked) Cosign(ctx context.Context, old int64, path []tlog.Hash, checkpoint []byte) ([]byte, error) {
	lines, err := a.Add(ctx, old, path, checkpoint)
	if size := (*witness.SizeError)(nil); errors.As(err, &size) {
		return nil, &seal.Stale{Size: size.Size}
	}
	return lines, err
}

func (l *witnessList) String() string { return "" }

// Set reads one flag.
func (l *witnessList) Set(text string) error {
	address, key, ok := strings.Cut(text, " ")
	if !ok {
		return errors.New("a witness is its address and its public key, with a space between")
	}
	client, err := witness.NewClient(address, strings.TrimSpace(key))
	if err != nil {
		return err
	}
	*l = append(*l, asked{client, strings.TrimSpace(key)})
	return nil
}

func (l witnessList) asked() []seal.Witness {
	var list []seal.Witness
	for _, w := range l {
		list = append(list, w)
	}
	return list
}

func (l witnessList) keys() []string {
	var list []string
	for _, w := range l {
		list = append(list, w.key)
	}
	return list
}
