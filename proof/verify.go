package proof

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/rules/signature"
)

// Steps of checking a receipt, in their order. A receipt that fails names the one at which it did.
const (
	StepForm       = "form"        // it is a receipt, and nothing else stands in it
	StepClaim      = "claim"       // claim and verdict are in the batch
	StepLog        = "log"         // the batch is in the log
	StepCheckpoint = "checkpoint"  // the log's head is signed
	StepWitnesses  = "witnesses"   // and cosigned
	StepTestimony  = "testimony"   // the partner signed the claim
	StepDocuments  = "documents"   // the texts are those that were published
	StepMethod     = "methodology" // and the methodology is the one that the verdict names
	StepVerdict    = "verdict"     // judged again, the claim comes out the same
	StepWorking    = "working"     // and so does its working
)

// A Failure says at which step a receipt is wrong.
type Failure struct {
	Step string
	Err  error
}

func (f *Failure) Error() string { return f.Step + ": " + f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Trust is what the one who checks knows beforehand. Its zero value knows nothing: then the receipt's own keys
// are taken for the log's, and the report says so.
type Trust struct {
	Logs        []note.Verifier // one of them must have signed
	Witnesses   []note.Verifier // each of them must have cosigned
	Methodology []byte          // the text that the verdict must have been found by; nil for the receipt's own
}

// A Report says what checking a receipt has proved, and what it has not.
type Report struct {
	Receipt   *Receipt
	Origin    string      // of the log
	Size      int64       // of the log's head
	Judged    time.Time   // the batch's instant
	Cosigned  []Cosigned  // by witnesses that the reader trusts
	Proved    []Statement // in order of the steps
	NotProved []Statement
}

// Cosigned is a witness that saw the log's head, and when.
type Cosigned struct {
	Witness string
	At      time.Time
}

// A Statement is one sentence, in both languages.
type Statement struct{ ZH, EN string }

// Verify checks a receipt: that the claim with its verdict stands in the log, under a signed head; that the texts it
// was judged by are those that were published; and that judging it again by them gives the same to the milligram.
// The error is a *Failure. It needs neither network nor clock.
func Verify(text []byte, trust Trust) (*Report, error) {
	r, err := ParseReceipt(text)
	if err != nil {
		return nil, &Failure{StepForm, err}
	}
	v := &verification{Report: &Report{Receipt: r}, trust: trust}
	for _, s := range []struct {
		step  string
		check func() error
	}{
		{StepClaim, v.claim}, {StepCheckpoint, v.checkpoint}, {StepLog, v.log}, {StepWitnesses, v.witnesses}, {StepDocuments, v.documents},
		{StepTestimony, v.testimony}, {StepMethod, v.methodology}, {StepVerdict, v.verdict}, {StepWorking, v.working},
	} {
		if err := s.check(); err != nil {
			return nil, &Failure{s.step, err}
		}
	}
	v.caveats()
	return v.Report, nil
}

// A verification goes step by step; each leaves behind what later ones stand on.
type verification struct {
	*Report
	trust Trust

	row     *claim.Row
	batch   ledger.Batch
	basis   claim.Basis // by which the claim was judged
	head    Checkpoint
	trees   []Checkpoint // the head, and those of the logs that went before as far as the receipt goes back
	signed  *note.Note
	book    *rulebook.Rulebook
	again   *claim.Row
	explain *methodology.Given
}

func (v *verification) proved(zh, en string, args ...any) {
	v.Proved = append(v.Proved, Statement{fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)})
}

func (v *verification) notProved(zh, en string, args ...any) {
	v.NotProved = append(v.NotProved, Statement{fmt.Sprintf(zh, args...), fmt.Sprintf(en, args...)})
}

// maxPath bounds the paths of a receipt: no tree is that high.
const maxPath = 64

// claim hashes the claim with its verdict and follows the path to the batch's root.
func (v *verification) claim() error {
	row, private, err := v.Receipt.row()
	if err != nil {
		return err
	}
	b := &v.Receipt.Batch
	v.row, v.batch = row, b.Entry.Ledger()
	if b.Entry.Type != record.BatchType {
		return errors.New("the claim's batch is no batch")
	}
	root, err := climb(claim.SaltedLeaf(v.Receipt.Salt, row, private), b.Path)
	if err != nil {
		return err
	}
	if root != v.batch.Root {
		return fmt.Errorf("claim and verdict are not those that batch %d.%d recorded", v.batch.Part, v.batch.Number)
	}
	if err := v.judged(); err != nil {
		return err
	}
	v.proved("这条申报连同它的裁定，一字未改地记在第 %d.%d 批里。", "This claim, with this verdict, stands in batch %d.%d, unchanged.", v.batch.Part, v.batch.Number)
	return nil
}

// climb follows a path from a leaf to the root that it leads to.
func climb(leaf ledger.Hash, path []Step) (ledger.Hash, error) {
	if len(path) > maxPath {
		return leaf, errors.New("the path is too long")
	}
	hash := tlog.Hash(leaf)
	for _, s := range path {
		switch {
		case s.Left != nil && s.Right == nil:
			hash = tlog.NodeHash(tlog.Hash(*s.Left), hash)
		case s.Right != nil && s.Left == nil:
			hash = tlog.NodeHash(hash, tlog.Hash(*s.Right))
		default:
			return leaf, errors.New("a step of the path joins one hash, on one side")
		}
	}
	return ledger.Hash(hash), nil
}

// testimony checks the partner's own signature of the claim.
func (v *verification) testimony() error {
	t := v.Receipt.Testimony
	if t == nil {
		v.notProved("回执未附报送方的签名：说这条申报由 %s 报送的是平台。", "The receipt holds no signature of the report: that %s reported it is the platform's word.", v.Receipt.Claim.Partner)
		return nil
	}
	public, err := lowerHex(t.Public)
	if err != nil {
		return err
	}
	signed, err := lowerHex(t.Signature)
	if err != nil {
		return err
	}
	want, input, err := signature.OpenBase(public, t.Base, signed)
	if err != nil {
		return err
	}
	root, err := climb(claim.SaidLeaf(v.row.Claim, t.Salt), t.Path)
	if err != nil {
		return err
	}
	if root != want {
		return errors.New("the claim is none of those that were signed")
	}
	at := time.Unix(input.Created, 0).UTC().Format(time.RFC3339)
	v.proved("持有密钥 %s 的一方于 %s 签名报送了这条申报。", "The holder of the key %s signed this very claim, at %s.", input.KeyID, at)
	v.notProved("该密钥属于 %s：由运营方登记，请向其核对。", "That this key is %s's: the operator registered it; ask there.", v.Receipt.Claim.Partner)
	return nil
}

// lowerHex reads hexadecimal digits in lower case, as receipts have them.
func lowerHex(text string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || hex.EncodeToString(b) != text {
		return nil, errors.New("a key or signature is not written in hexadecimal digits, in lower case")
	}
	return b, nil
}

// judged finds by what the claim was judged: by its batch's instant and rulebook, or in a correction by what the leaf says.
func (v *verification) judged() error {
	v.basis = claim.Basis{At: v.batch.At, Rulebook: v.batch.Rulebook, Backfill: v.batch.Backfill}
	if again := v.row.Again; again != nil {
		v.basis = again.Basis
	}
	switch {
	case v.batch.Correction != (v.row.Again != nil):
		return errors.New("a correction judges claims in the place of others, and no other batch does")
	case v.basis.At > v.batch.At || max(v.basis.Rulebook, v.basis.Restated) > v.batch.Rulebook:
		return errors.New("the claim was judged by what came after its batch")
	}
	v.Judged = time.UnixMicro(v.batch.At).UTC()
	return nil
}

// log follows the path from the batch's entry to the log's head.
func (v *verification) log() error {
	l := &v.Receipt.Log
	if err := v.earlier(); err != nil {
		return err
	}
	entry := record.Text(&v.Receipt.Batch.Entry)
	if err := v.included(entry, l.Before, l.Place, l.Path); err != nil {
		return fmt.Errorf("batch %d.%d is not entry %d of the log: %w", v.batch.Part, v.batch.Number, l.Place, err)
	}
	in := v.trees[l.Before]
	v.proved("该批是日志 %s 的第 %d 条，此时日志共 %d 条。", "That batch is entry %[2]d of the log %[1]s, which had %[3]d entries.", in.Origin, l.Place, in.Size)
	for i := range l.Before {
		v.proved("日志 %s 延续日志 %s，并引用其含 %d 条的检查点。", "The log %s goes on from the log %s and cites its head of %d entries.", v.trees[i].Origin, v.trees[i+1].Origin, v.trees[i+1].Size)
	}
	return nil
}

// maxEarlier bounds the logs that went before.
const maxEarlier = 100

// earlier goes back from the log's signed head to the heads that the first entries of logs cite of those before them. There are as
// many as the receipt goes back, and no more.
func (v *verification) earlier() error {
	l := &v.Receipt.Log
	far := l.Before
	for i := range v.Receipt.Documents {
		far = max(far, v.Receipt.Documents[i].Before)
	}
	if len(l.Earlier) != far || far > maxEarlier {
		return fmt.Errorf("it names %d logs that went before, and goes back %d", len(l.Earlier), far)
	}
	v.trees = []Checkpoint{v.head}
	for i := range l.Earlier {
		e := &l.Earlier[i].Entry
		if e.Type != record.OriginType || e.Follows == nil || e.Origin != v.trees[i].Origin || e.Follows.Size < 1 || e.Follows.Size > MaxSize {
			return fmt.Errorf("the first entry of the log %s does not say which one went before", v.trees[i].Origin)
		}
		if err := v.included(record.Text(e), i, 0, l.Earlier[i].Path); err != nil {
			return fmt.Errorf("what went before the log %s is not what its first entry says: %w", v.trees[i].Origin, err)
		}
		v.trees = append(v.trees, Checkpoint{Origin: e.Follows.Origin, Size: e.Follows.Size, Root: tlog.Hash(e.Follows.Root)})
	}
	return nil
}

// included checks that an entry is at its place in the log so many logs back.
func (v *verification) included(entry []byte, before int, place int64, path []record.Hash) error {
	if before < 0 || before >= len(v.trees) {
		return fmt.Errorf("there is no log %d before", before)
	}
	if len(path) > maxPath {
		return errors.New("the path is too long")
	}
	tree := v.trees[before]
	return CheckInclusion(treePath(path), tree.Size, place, tree.Root, tlog.RecordHash(entry))
}

func treePath(path []record.Hash) []tlog.Hash {
	list := make([]tlog.Hash, len(path))
	for i := range path {
		list[i] = tlog.Hash(path[i])
	}
	return list
}

// checkpoint checks the signatures of the log's head: every key that the receipt names must have signed, nobody else
// may have, and so must one that the reader trusts.
func (v *verification) checkpoint() error {
	l := &v.Receipt.Log
	logs, err := logVerifiers(l.Keys)
	if err != nil {
		return err
	}
	witnesses, err := witnessVerifiers(l.Witnesses)
	if err != nil {
		return err
	}
	origin, _, _ := strings.Cut(l.Checkpoint, "\n")
	all := append(slices.Clone(logs), witnesses...)
	if v.head, v.signed, err = OpenCheckpoint([]byte(l.Checkpoint), origin, all...); err != nil {
		return err
	}
	if len(v.signed.UnverifiedSigs) > 0 || len(v.signed.Sigs) != len(all) {
		return errors.New("the signatures under the log's head are not those of the keys that the receipt names")
	}
	if !canonical(v.signed, l.Checkpoint) {
		return errors.New("the log's head is not written as it should be")
	}
	for _, s := range logs {
		if s.Name() != origin {
			return fmt.Errorf("a key of %s signed the head of %s", s.Name(), origin)
		}
	}
	v.Origin, v.Size = v.head.Origin, v.head.Size
	if len(v.trust.Logs) > 0 {
		if _, _, err := OpenCheckpoint([]byte(l.Checkpoint), origin, v.trust.Logs...); err != nil {
			return fmt.Errorf("the log's head is not signed by a key that you trust: %w", err)
		}
		v.proved("日志首部由您信任的密钥签名。", "The log's head is signed by a key that you trust.")
	} else {
		v.notProved("日志首部由回执自带的密钥 %s 签名；请与运营方公布的密钥核对，或用 --key 指定。",
			"The log's head is signed by the key %s, which the receipt itself names; compare it with the one that the operator publishes, or give yours with --key.", strings.Join(l.Keys, ", "))
	}
	return nil
}

// canonical reports whether a signed note is written in the one way there is, its signatures included.
func canonical(signed *note.Note, text string) bool {
	for _, s := range signed.Sigs {
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != s.Base64 {
			return false
		}
	}
	again, err := note.Sign(&note.Note{Text: signed.Text, Sigs: signed.Sigs})
	return err == nil && string(again) == text
}

func logVerifiers(keys []string) ([]note.Verifier, error) {
	if len(keys) == 0 || len(keys) > 10 {
		return nil, errors.New("the receipt names no key of the log, or too many")
	}
	var list []note.Verifier
	for _, k := range keys {
		verifier, err := note.NewVerifier(k)
		if err != nil {
			return nil, fmt.Errorf("a key of the log cannot be read: %w", err)
		}
		list = append(list, verifier)
	}
	return list, nil
}

func witnessVerifiers(keys []string) ([]note.Verifier, error) {
	if len(keys) > 50 {
		return nil, errors.New("the receipt names too many witnesses")
	}
	var list []note.Verifier
	for _, k := range keys {
		verifier, err := NewCosignatureVerifier(k)
		if err != nil {
			return nil, err
		}
		list = append(list, verifier)
	}
	return list, nil
}

// witnesses makes sure that those that the reader trusts have seen the log's head.
func (v *verification) witnesses() error {
	for _, w := range v.trust.Witnesses {
		signed, err := note.Open([]byte(v.Receipt.Log.Checkpoint), note.VerifierList(w))
		if err != nil {
			return fmt.Errorf("witness %s, which you trust, has not cosigned the log's head", w.Name())
		}
		unix, err := CosignatureTime(signed.Sigs[0])
		if err != nil {
			return fmt.Errorf("the signature of %s, which you trust as a witness, is no cosignature", w.Name())
		}
		v.Cosigned = append(v.Cosigned, Cosigned{w.Name(), time.Unix(unix, 0).UTC()})
	}
	if keys := v.Receipt.Log.Witnesses; len(v.Cosigned) == 0 && len(keys) > 0 { // anybody can make a key and call it a witness's
		v.notProved("见证方共同签名：回执自带的密钥 %s 已签名；请与见证方公布的密钥核对，或用 --key 指定。",
			"That a witness has cosigned: the keys %s have, which the receipt itself names; compare them with those that the witnesses publish, or give theirs with --key.", strings.Join(keys, ", "))
		return nil
	}
	if len(v.Cosigned) == 0 {
		v.notProved("没有见证方共同签名：除运营方外无人担保别人看到的是同一份日志。",
			"No witness has cosigned: nobody but the operator vouches that others are shown the same log.")
		return nil
	}
	var zh, en []string
	for _, c := range v.Cosigned {
		zh = append(zh, fmt.Sprintf("%s（%s）", c.Witness, c.At.Format(time.RFC3339)))
		en = append(en, fmt.Sprintf("%s (%s)", c.Witness, c.At.Format(time.RFC3339)))
	}
	v.Proved = append(v.Proved, Statement{"您信任的见证方共同签名：" + strings.Join(zh, "、") + "。", "Cosigned by witnesses that you trust: " + strings.Join(en, ", ") + "."})
	return nil
}

// documents checks that the texts are those that were published before the batch was judged.
func (v *verification) documents() error {
	last := int64(0)
	var list []rulebook.Document
	for i := range v.Receipt.Documents {
		d := &v.Receipt.Documents[i]
		switch {
		case d.Entry.Type != record.DocumentType:
			return fmt.Errorf("%s is no document", d.Entry.Name)
		case sha256.Sum256([]byte(d.Text)) != d.Entry.SHA256:
			return fmt.Errorf("the text of %s is not the one that was published", d.Entry.Name)
		case d.Entry.Rulebook <= last || d.Entry.Rulebook > max(v.basis.Rulebook, v.basis.Restated):
			return fmt.Errorf("%s is rulebook %d, out of order or after the rulebook %d by which the claim was judged", d.Entry.Name, d.Entry.Rulebook, max(v.basis.Rulebook, v.basis.Restated))
		}
		entry := record.Text(&d.Entry)
		if err := v.included(entry, d.Before, d.Place, d.Path); err != nil {
			return fmt.Errorf("%s is not entry %d of the log: %w", d.Entry.Name, d.Place, err)
		}
		if l := &v.Receipt.Log; d.Before < l.Before || d.Before == l.Before && d.Place > l.Place {
			return fmt.Errorf("%s is in the log after the batch that was judged by it", d.Entry.Name)
		}
		last = d.Entry.Rulebook
		list = append(list, rulebook.Document{Number: d.Entry.Rulebook, Kind: d.Entry.Kind, Name: d.Entry.Name, Text: []byte(d.Text)})
	}
	if n := v.basis.Restated; n != 0 && !slices.ContainsFunc(list, func(d rulebook.Document) bool { return d.Number == n && d.Kind == rulebook.Restating }) {
		return fmt.Errorf("restatement %d, by which the claim was judged, is not in the receipt", n)
	}
	var err error
	if v.book, err = rulebook.Bind(v.basis.Rulebook, v.basis.Restated, list); err != nil {
		return err
	}
	if n, all := int64(len(list)), max(v.basis.Rulebook, v.basis.Restated); n < all {
		v.notProved("裁定之前公布的 %[1]d 份文件中，回执附了 %[2]d 份：没有其他文件（如更新的版本）影响此裁定（审计全库可证）。",
			"That no other document bears on the verdict, such as a newer version: %[1]d had been published by then, and the receipt holds %[2]d (an audit of the database proves it).", all, n)
	}
	v.proved("回执所附的 %d 份文件（机制、方法学等）就是裁定之前公布在日志里的文本。",
		"The %d documents in the receipt (programme, methodology and so on) are the texts that the log had published before the claim was judged.", len(list))
	return nil
}

// methodology checks that the text which the verdict names is there, and is the reader's own if he gave one.
func (v *verification) methodology() error {
	named, hash := v.Receipt.Verdict.Method, v.Receipt.Verdict.MethodSHA256
	if named == "" && hash == nil {
		if v.trust.Methodology != nil {
			return errors.New("the verdict was found before any methodology was asked")
		}
		return nil
	}
	if hash == nil {
		return errors.New("the verdict names a methodology and not its text")
	}
	if !slices.ContainsFunc(v.Receipt.Documents, func(d ReceiptDocument) bool { return d.is(named, *hash) }) {
		return fmt.Errorf("the text of %s that the verdict names is not in the receipt", named)
	}
	if v.trust.Methodology != nil && sha256.Sum256(v.trust.Methodology) != *hash {
		return fmt.Errorf("the methodology that you gave is not the text of %s by which the claim was judged", named)
	}
	if v.trust.Methodology != nil {
		v.proved("裁定所用的正是您给出的方法学文本 %s。", "The claim was judged by the very text of %s that you gave.", named)
	}
	return nil
}

// is reports whether a document holds the text of a methodology: as a version, or to restate others by.
func (d *ReceiptDocument) is(named string, hash record.Hash) bool {
	switch d.Entry.Kind {
	case "methodology":
		return d.Entry.Name == named && d.Entry.SHA256 == hash
	case rulebook.Restating:
		r, err := rulebook.ParseRestatement(d.Entry.Name, []byte(d.Text))
		return err == nil && r.Method == named && r.Hash == hash
	}
	return false
}

// verdict judges the claim again.
func (v *verification) verdict() error {
	session := claim.Session{Book: v.book, At: v.basis.At, Backfill: v.basis.Backfill}
	again, explain, err := claim.Rejudge(session, v.row)
	v.again, v.explain = again, explain
	if v.Receipt.Withheld() {
		v.notProved("裁定还取决于只有用户本人能看的内容（往期数值、已用额度），本回执只含其哈希，故未重算。",
			"The verdict also depends on what only the member may see (earlier values, usage of caps), of which this receipt has the hash only; so it was not computed again.")
		return nil
	}
	if err != nil {
		return err
	}
	whole := func(r *claim.Row) string { return string(claim.Leaf(nil, r, ledger.Hash{})) + claim.Private(r) }
	if whole(again) != whole(v.row) {
		return fmt.Errorf("judged again, the claim comes out as %s with %d mg and %d thousandths of a point; the receipt says %s with %d mg and %d",
			again.Verdict.Reason, again.Verdict.Milligrams, again.Verdict.Points, v.row.Verdict.Reason, v.row.Verdict.Milligrams, v.row.Verdict.Points)
	}
	if v.row.Verdict.Reason == reason.OK {
		v.proved("按这些文本重新计算，结果分毫不差：减排 %d 毫克，积分 %d 千分之一分。",
			"Computed again by these texts, the result is the same: %d mg CO2e, %d thousandths of a point.", v.row.Verdict.Milligrams, v.row.Verdict.Points)
	} else {
		v.proved("按这些文本重新裁定，结果相同：%s。", "Judged again by these texts, the verdict is the same: %s.", v.row.Verdict.Reason)
	}
	return nil
}

// working checks that the working is the one that follows.
func (v *verification) working() error {
	want, err := WorkingOf(v.again, v.explain)
	if v.Receipt.Withheld() {
		want, err = Working{}, nil
	}
	if err != nil {
		return err
	}
	if v.Receipt.Working != want {
		return errors.New("the working is not the one that follows from claim and methodology")
	}
	return nil
}

// WorkingOf writes the working of a claim that was judged again.
func WorkingOf(again *claim.Row, explain *methodology.Given) (w Working, err error) {
	if explain == nil || again.Method == nil {
		return w, nil
	}
	if w.ZH, err = again.Method.Explain(*explain, "zh"); err != nil {
		return w, err
	}
	w.EN, err = again.Method.Explain(*explain, "en")
	return w, err
}

// caveats says what no receipt can prove.
func (v *verification) caveats() {
	switch v.row.Verdict.Reason {
	case reason.Overlap:
		v.notProved("另一行为此前已被计入，回执未附其内容。", "That another act had been counted before: the receipt does not hold that act.")
	case reason.ObjectUnknown:
		v.notProved("该表具或车辆当时未登记在此账户名下。", "That the meter or car was not registered to this account then.")
	}
	if v.row.Verdict.Reason.Kind() == reason.Accepted { // the account's other acts and its meters are not in the receipt
		v.notProved("同一行为此前未被计入（审计全库可证）。", "That the same act had not been counted before (an audit of the database proves it).")
		if v.row.Claim.Object != "" {
			v.notProved("该表具或车辆当时登记在此账户名下。", "That the meter or car was registered to this account then.")
		}
	}
	if a := v.Receipt.Again; a != nil {
		v.proved("这是一次更正：它代替申报 %s，按其到达时刻 %s 与第 %d 号规则文本裁定。", "This is a correction: it stands in the place of claim %s, judged as of %s by rulebook %d.",
			a.Of, time.UnixMicro(a.At).UTC().Format(time.RFC3339), a.Rulebook)
	}
	if a := v.Receipt.Again; a != nil && a.Restated != 0 {
		v.proved("并代入第 %d 号规则文本（重述）所命令的方法学文本。", "With the texts that restatements up to rulebook %d put in the place of others.", a.Restated)
	}
	v.notProved("用户当时已同意（授权在日志中只有加盐哈希，回执未附）。", "That the member had consented: the log has consents as salted hashes, and the receipt does not hold one.")
	if len(v.row.Used) > 0 {
		v.notProved("所列往期数值与已用额度确为当时的记录（审计全库可证）。", "That the earlier values and usage listed are those recorded then (an audit of the database proves it).")
	}
	v.notProved("申报内容属实：这由报送方负责。", "That the act took place as reported: for that the partner answers.")
	v.notProved("此后没有更正：更正会记为日志中的新条目。", "That it was not corrected since: a correction is a new entry of the log.")
}
