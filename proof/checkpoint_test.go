package proof

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// example is the checkpoint that tlog-checkpoint shows.
const example = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

func TestParseCheckpoint(t *testing.T) {
	root, err := ParseHash("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text string
		want Checkpoint
	}{
		{example, Checkpoint{Origin: "example.com/behind-the-sofa", Size: 20852163, Root: root}},
		{example + "one\ntwo words\n", Checkpoint{"example.com/behind-the-sofa", 20852163, root, []string{"one", "two words"}}},
		{"a log with spaces + plus\n0\n" + EmptyRoot.String() + "\n", Checkpoint{Origin: "a log with spaces + plus", Root: EmptyRoot}},
		{"碳普\n1152921504606846976\n" + root.String() + "\n", Checkpoint{Origin: "碳普", Size: MaxSize, Root: root}},
	} {
		got, err := ParseCheckpoint(tt.text)
		if err != nil || got.Text() != tt.text || got.Origin != tt.want.Origin || got.Size != tt.want.Size ||
			got.Root != tt.want.Root || !slices.Equal(got.Extensions, tt.want.Extensions) {
			t.Errorf("ParseCheckpoint(%q) = %v, %v; want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	for name, text := range map[string]string{
		"nothing":              "",
		"a newline":            "\n",
		"no newline at end":    "log\n1\n" + root,
		"two lines":            "log\n1\n",
		"no origin":            "\n1\n" + root + "\n",
		"an empty extension":   "log\n1\n" + root + "\n\n",
		"a gap":                "log\n1\n" + root + "\n\nmore\n",
		"a leading zero":       "log\n01\n" + root + "\n",
		"a plus":               "log\n+1\n" + root + "\n",
		"less than nothing":    "log\n-1\n" + root + "\n",
		"minus zero":           "log\n-0\n" + root + "\n",
		"hexadecimal":          "log\n0x1\n" + root + "\n",
		"a space":              "log\n1 \n" + root + "\n",
		"too many":             "log\n1152921504606846977\n" + root + "\n",
		"beyond int64":         "log\n9223372036854775808\n" + root + "\n",
		"a short root":         "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
		"a long root":          "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2Ji\n",
		"no padding":           "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
		"bits after the root":  "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
		"a carriage return":    "log\n1\n" + root + "\r\n",
		"one inside":           "log\n1\nCsUYapGGPo4dkMgIAUqom\r/Xajj7h2fB2MPA3j2jxq2I=\n",
		"base64 for addresses": "log\n1\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n",
		"a tab in the origin":  "lo\tg\n1\n" + root + "\n",
		"broken UTF-8":         "lo\xffg\n1\n" + root + "\n",
		"64 KiB":               "log\n1\n" + root + "\n" + strings.Repeat("x", maxText) + "\n",
	} {
		if got, err := ParseCheckpoint(text); err == nil {
			t.Errorf("%s: ParseCheckpoint(%.80q) = %v, want an error", name, text, got)
		}
	}
}

// newLog makes a log's key.
func newLog(t *testing.T, origin string) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func sign(t *testing.T, text string, signers ...note.Signer) []byte {
	t.Helper()
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestOpenCheckpoint(t *testing.T) {
	signer, verifier := newLog(t, "log.example")
	stranger, _ := newLog(t, "stranger.example")
	impostor, _ := newLog(t, "log.example")
	next, nextVerifier := newLog(t, "log.example")
	head := Checkpoint{Origin: "log.example", Size: 7, Root: tlog.Hash{1}}

	for name, msg := range map[string][]byte{
		"signed":                 sign(t, head.Text(), signer),
		"and by a stranger":      sign(t, head.Text(), stranger, signer),
		"and by an unknown key":  sign(t, head.Text(), impostor, signer),
		"by the next key":        sign(t, head.Text(), next),
		"by the key and by next": sign(t, head.Text(), signer, next),
	} {
		got, signed, err := OpenCheckpoint(msg, "log.example", verifier, nextVerifier)
		if err != nil || got.Text() != head.Text() || len(signed.Sigs) == 0 {
			t.Errorf("%s: OpenCheckpoint = %v, %v; want %v", name, got, err, head)
		}
	}

	broken := sign(t, head.Text(), signer)
	broken[len("log.example\n")] = '8' // another size under the same signature
	for name, msg := range map[string][]byte{
		"no signature":          []byte(head.Text() + "\n"),
		"a stranger's":          sign(t, head.Text(), stranger),
		"of an unknown key":     sign(t, head.Text(), impostor),
		"changed after signing": broken,
		"another log's head":    sign(t, strings.Replace(head.Text(), "log.example", "log.other", 1), signer),
		"not a checkpoint":      sign(t, "log.example\n07\n"+head.Root.String()+"\n", signer),
		"not a note":            []byte(head.Text()),
	} {
		if got, _, err := OpenCheckpoint(msg, "log.example", verifier); err == nil {
			t.Errorf("%s: OpenCheckpoint = %v, want an error", name, got)
		}
	}
	if _, _, err := OpenCheckpoint(sign(t, head.Text(), signer), "log.example"); err == nil {
		t.Error("without any key a checkpoint opened")
	}
}

// Who signed, and whether wrongly, is for callers to tell apart.
func TestOpenCheckpointErrors(t *testing.T) {
	signer, verifier := newLog(t, "log.example")
	stranger, _ := newLog(t, "stranger.example")
	text := Checkpoint{Origin: "log.example", Size: 7}.Text()
	_, _, err := OpenCheckpoint(sign(t, text, stranger), "log.example", verifier)
	if unverified := new(note.UnverifiedNoteError); !errors.As(err, &unverified) {
		t.Errorf("a stranger's signature: %v, want an UnverifiedNoteError", err)
	}
	broken := sign(t, text, signer)
	broken[len("log.example\n")] = '8'
	_, _, err = OpenCheckpoint(broken, "log.example", verifier)
	if invalid := new(note.InvalidSignatureError); !errors.As(err, &invalid) {
		t.Errorf("a broken signature: %v, want an InvalidSignatureError", err)
	}
}

// Whatever is accepted comes back byte for byte.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add(example)
	f.Add(example + "extension\n")
	f.Add("log\n0\n" + EmptyRoot.String() + "\n")
	f.Add("log\n01\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err == nil && c.Text() != text {
			t.Errorf("ParseCheckpoint(%q) prints as %q", text, c.Text())
		}
	})
}
