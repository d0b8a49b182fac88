package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"time"

	strict "github.com/go-json-experiment/json"

	"github.com/tanpu/tanpu/flows/statement"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// An Account is what a member has.
type Account struct {
	ID         string      `json:"id" example:"a3-17"`
	Opened     time.Time   `json:"opened"`
	At         *time.Time  `json:"at,omitempty" doc:"If that was asked: everything is as of this time"`
	Balances   []Balance   `json:"balances" nullable:"false" doc:"What the account holds, by asset"`
	Reductions []Reduction `json:"reductions" nullable:"false" doc:"What it was credited for, whoever holds it, by series"`
	Entries    []Posting   `json:"entries,omitempty" doc:"If a time was asked: the entries that make up the balances, in order"`
}

// A Posting is what a claim or the reversal of one added to a balance.
type Posting struct {
	Ref    string    `json:"ref" doc:"Of the claim or the reversal" example:"3.120.5"`
	At     time.Time `json:"at"`
	Asset  string    `json:"asset"`
	Amount int64     `json:"amount"`
}

// A Balance is an amount of one asset.
type Balance struct {
	Asset  string `json:"asset" example:"POINT/demo-city/2027-12"`
	Amount int64  `json:"amount" doc:"In the asset's unit: mg CO2e of a series, thousandths of a point"`
}

// A Reduction sums the accepted claims of one series.
type Reduction struct {
	Programme string `json:"programme"`
	Method    string `json:"method" example:"DEMO-BIKE@1"`
	Vintage   string `json:"vintage" example:"2026"`
	Claims    int64  `json:"claims"`
	Mg        int64  `json:"reduction_mg"`
}

func (s *Server) account(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"40" example:"a3-17"`
	At string `query:"at" maxLength:"40" doc:"As of this time (RFC 3339), with the entries that make it up" example:"2026-08-31T23:59:59+08:00"`
}) (*struct{ Body Account }, error) {
	id, err := accountID(in.ID)
	if err != nil {
		return nil, err
	}
	balances, opened, err := s.DB.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	if in.At != "" {
		return s.statement(ctx, in.ID, id, opened, in.At)
	}
	reductions, err := s.DB.Reductions(ctx, id)
	if err != nil {
		return nil, err
	}
	a := Account{ID: in.ID, Opened: time.UnixMicro(opened).UTC(), Balances: []Balance{}, Reductions: []Reduction{}}
	for _, b := range balances {
		a.Balances = append(a.Balances, Balance{string(b.Asset), b.Amount})
	}
	for _, r := range reductions {
		a.Reductions = append(a.Reductions, Reduction{r.Programme, r.Method, r.Vintage, r.Claims, r.Milligrams})
	}
	return &struct{ Body Account }{a}, nil
}

// statement is an account as it was.
func (s *Server) statement(ctx context.Context, name string, id store.AccountID, opened claim.Micros, at string) (*struct{ Body Account }, error) {
	when, _, ok := parseInstant([]byte(at))
	if !ok || when > time.Now().UnixMicro() {
		return nil, fault.New(fault.Invalid, "at is no time in the past: want one such as 2026-08-31T23:59:59+08:00")
	}
	said, err := statement.Of(ctx, &s.desk.Books, id, when)
	if err != nil {
		return nil, err
	}
	asOf := instantOf(when)
	a := Account{ID: name, Opened: instantOf(opened), At: &asOf, Balances: []Balance{}, Reductions: []Reduction{}}
	for _, b := range said.Balances {
		a.Balances = append(a.Balances, Balance{string(b.Asset), b.Amount})
	}
	for _, r := range said.Reductions {
		a.Reductions = append(a.Reductions, Reduction{r.Programme, r.Method, r.Vintage, r.Claims, r.Milligrams})
	}
	for _, e := range said.Entries {
		a.Entries = append(a.Entries, Posting{e.Ref.String(), instantOf(e.At), string(e.Asset), e.Amount})
	}
	return &struct{ Body Account }{a}, nil
}

func accountID(text string) (store.AccountID, error) {
	id, ok := store.ParseAccountID(text)
	if !ok {
		return id, fault.New(fault.NotFound, "there is no account %s", quote(text))
	}
	return id, nil
}

// A ClaimPage is one page of an account's claims.
type ClaimPage struct {
	Claims []AccountClaim `json:"claims" nullable:"false"`
	Next   string         `json:"next,omitempty" doc:"The cursor of the next page; none after the last"`
}

// An AccountClaim is a recorded claim with its verdict.
type AccountClaim struct {
	Ref       string           `json:"ref" example:"3.120.5"`
	Programme string           `json:"programme,omitempty"`
	Partner   string           `json:"partner"`
	ID        string           `json:"id" doc:"The partner's own"`
	Scenario  string           `json:"scenario"`
	Start     time.Time        `json:"start"`
	End       time.Time        `json:"end"`
	Reported  json.RawMessage  `json:"reported" doc:"What else the claim says: quantities, evidence, region, act, object, commitment"`
	Status    string           `json:"status" enum:"accepted,duplicate,refused"`
	Reason    reason.Code      `json:"reason"`
	Operands  *reason.Operands `json:"operands,omitempty"`
	Method    string           `json:"method,omitempty"`
	Vintage   string           `json:"vintage,omitempty"`
	Mg        int64            `json:"reduction_mg"`
	Points    int64            `json:"points_thousandths"`
	AgainOf   string           `json:"again_of,omitempty" doc:"The claim in whose place this one was judged" example:"3.120.5"`
	Reversed  *Reversed        `json:"reversed,omitempty" doc:"If it counts no more: who reversed it, and why"`
}

// Reversed says how a claim came to count no more.
type Reversed struct {
	Ref        string    `json:"ref" doc:"Of the reversal" example:"3.121.0"`
	At         time.Time `json:"at"`
	Why        string    `json:"why" enum:"retracted,replaced,rejudged,restated"`
	By         string    `json:"by" doc:"The partner, or operator"`
	Reason     string    `json:"reason,omitempty" maxLength:"1000"`
	OwedMg     int64     `json:"liability_mg" doc:"What was not taken back, because it had gone into a lot: the partner owes it"`
	OwedPoints int64     `json:"liability_thousandths" doc:"What was not taken back, because it was spent: the partner owes it"`
	Next       string    `json:"next,omitempty" doc:"The claim that took its place" example:"3.121.1"`
}

// ClaimQuery asks for a page: either a cursor, which carries its whole query, or a new query.
type ClaimQuery struct {
	ID        string `path:"id" maxLength:"40" example:"a3-17"`
	Reason    string `query:"reason" maxLength:"30" doc:"Only claims with this reason" example:"overlap"`
	Corrected bool   `query:"corrected" doc:"Only claims that corrections changed, and those that took their place, in the order in which they were corrected. The last page gives a cursor too: what comes later begins there"`
	Limit     int    `query:"limit" minimum:"0" maximum:"500" doc:"Claims in a page; 100 if not given"`
	Cursor    string `query:"cursor" maxLength:"400" doc:"From the page before, alone: it carries the whole query"`
}

// A cursor is a listing and the place where it goes on. It is shown to clients as one opaque word.
type cursor struct {
	Account   string `json:"a"`
	Corrected bool   `json:"c,omitempty"` // the place is that of a reversal
	Reason    string `json:"r,omitempty"`
	Limit     int    `json:"n"`
	Batch     int64  `json:"b"`
	Ord       int    `json:"o"`
}

func (c cursor) String() string {
	text, _ := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor reads what String wrote, and nothing else.
func parseCursor(word string) (cursor, bool) {
	var c cursor
	text, err := base64.RawURLEncoding.Strict().DecodeString(word)
	if err != nil || strict.Unmarshal(text, &c, strict.RejectUnknownMembers(true)) != nil {
		return c, false
	}
	return c, c.String() == word && c.Limit >= 1 && c.Limit <= 500 && c.Batch >= 1 && c.Ord >= 0 && c.Ord <= math.MaxInt32 && (c.Reason == "" || reason.Code(c.Reason).Known())
}

// page is the query that is meant.
func (q *ClaimQuery) page() (cursor, error) {
	if q.Cursor == "" {
		if q.Reason != "" && !reason.Code(q.Reason).Known() {
			return cursor{}, fault.New(fault.Invalid, "there is no reason %s", quote(q.Reason))
		}
		if q.Corrected && q.Reason != "" {
			return cursor{}, fault.New(fault.Invalid, "ask for corrected claims, or for those with a reason")
		}
		c := cursor{Account: q.ID, Reason: q.Reason, Corrected: q.Corrected, Limit: q.Limit}
		if c.Limit == 0 {
			c.Limit = 100
		}
		return c, nil
	}
	c, ok := parseCursor(q.Cursor)
	switch {
	case !ok:
		return c, fault.New(fault.Invalid, "this is no cursor: use the one that a page gave as next, as it is")
	case c.Account != q.ID:
		return c, fault.New(fault.Invalid, "this cursor belongs to another account's claims")
	case q.Reason != "" || q.Limit != 0 || q.Corrected:
		return c, fault.New(fault.Invalid, "a cursor carries its whole query: give it alone")
	}
	return c, nil
}

func (s *Server) accountClaims(ctx context.Context, in *ClaimQuery) (*struct{ Body ClaimPage }, error) {
	id, err := accountID(in.ID)
	if err != nil {
		return nil, err
	}
	c, err := in.page()
	if err != nil {
		return nil, err
	}
	if _, _, err := s.DB.Account(ctx, id); err != nil {
		return nil, err // an unknown account is not one without claims
	}
	if c.Corrected {
		return s.correctedClaims(ctx, id, c)
	}
	rows, err := s.DB.Claims(ctx, id, store.Place{Batch: c.Batch, Ord: c.Ord}, c.Reason, c.Limit+1)
	if err != nil {
		return nil, err
	}
	page := ClaimPage{Claims: make([]AccountClaim, 0, len(rows))}
	for i := range rows {
		if i == c.Limit {
			c.Batch, c.Ord = rows[i-1].Verdict.Ref.Batch, rows[i-1].Verdict.Ref.Ord
			page.Next = c.String()
			break
		}
		page.Claims = append(page.Claims, accountClaim(&rows[i]))
	}
	return &struct{ Body ClaimPage }{page}, nil
}

// correctedClaims is a page of what corrections changed.
func (s *Server) correctedClaims(ctx context.Context, id store.AccountID, c cursor) (*struct{ Body ClaimPage }, error) {
	rows, last, err := s.DB.CorrectedClaims(ctx, id, store.Place{Batch: c.Batch, Ord: c.Ord}, c.Limit)
	if err != nil {
		return nil, err
	}
	page := ClaimPage{Claims: make([]AccountClaim, 0, len(rows))}
	for i := range rows {
		page.Claims = append(page.Claims, accountClaim(&rows[i]))
	}
	if last != (store.Place{}) {
		c.Batch, c.Ord = last.Batch, last.Ord
		page.Next = c.String()
	}
	return &struct{ Body ClaimPage }{page}, nil
}

func accountClaim(r *store.Listed) AccountClaim {
	v := &r.Verdict
	c := AccountClaim{
		Ref: v.Ref.String(), Programme: r.Programme, Partner: r.Partner, ID: r.ID, Scenario: r.Scenario,
		Start: instantOf(r.Start), End: instantOf(r.End), Reported: json.RawMessage(r.Body),
		Status: status(v.Reason), Reason: v.Reason, Method: v.Method, Vintage: r.Vintage, Mg: v.Milligrams, Points: v.Points,
	}
	if v.Operands != (reason.Operands{}) {
		c.Operands = &v.Operands
	}
	c.AgainOf = r.AgainOf.String()
	if u := r.Undone; u != nil {
		c.Reversed = &Reversed{Ref: u.Ref.String(), At: instantOf(r.UndoneAt), Why: string(u.Why), By: u.By, Reason: u.Reason, OwedMg: u.OwedMilligrams, OwedPoints: u.OwedPoints}
		if u.Next >= 0 {
			c.Reversed.Next = claim.Ref{Part: u.Ref.Part, Batch: u.Ref.Batch, Ord: u.Next}.String()
		}
	}
	return c
}

func instantOf(at claim.Micros) time.Time { return time.UnixMicro(at).UTC() }
