package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
)

// Results answers POST /v1/claims.
type Results struct {
	Results []Result `json:"results"`
}

// A Result says what became of one claim. writeResults writes it.
type Result struct {
	ID       string           `json:"id"`
	Status   string           `json:"status" enum:"accepted,duplicate,refused,retry"`
	Reason   reason.Code      `json:"reason" doc:"One of the closed list of reasons" example:"ok"`
	Detail   string           `json:"detail" doc:"The reason in words" example:"Accepted, 195930 mg."`
	Operands *reason.Operands `json:"operands,omitempty" doc:"The values that the words are made with"`
	Method   string           `json:"method,omitempty" doc:"The methodology and version that decided" example:"DEMO-BIKE@1"`
	Mg       int64            `json:"reduction_mg" doc:"What was credited, mg CO2e"`
	Points   int64            `json:"points_thousandths" doc:"Thousandths of a point"`
	Ref      string           `json:"ref,omitempty" doc:"Where it is recorded" example:"3.120.5"`
	First    reason.Code      `json:"first,omitempty" doc:"For replay: the reason of the first verdict, which is returned"`
}

// language picks the language of sentences by Accept-Language.
func language(accept string) (lang reason.Lang, tag string) {
	for _, part := range strings.Split(accept, ",") {
		switch part = strings.ToLower(strings.TrimSpace(part)); {
		case strings.HasPrefix(part, "zh"):
			return reason.ZH, "zh"
		case strings.HasPrefix(part, "en"):
			return reason.EN, "en"
		}
	}
	return reason.EN, "en"
}

// writeResults writes a result for each claim. It is written by hand, as it goes: a request can have ten thousand.
func writeResults(w http.ResponseWriter, r *http.Request, claims []claim.Claim, verdicts []claim.Verdict) {
	lang, tag := language(r.Header.Get("Accept-Language"))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Language", tag)
	const full = 32 << 10
	b := make([]byte, 0, min(full+4096, 16+400*len(claims)))
	b = append(b, `{"results":[`...)
	for i := range claims {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendResult(b, &claims[i], &verdicts[i], lang)
		if len(b) > full {
			if _, err := w.Write(b); err != nil {
				return // the client has gone; it asks again and gets the same verdicts
			}
			b = b[:0]
		}
	}
	w.Write(append(b, "]}\n"...))
}

func appendResult(b []byte, c *claim.Claim, v *claim.Verdict, lang reason.Lang) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, c.ID)
	b = append(b, `,"status":"`...)
	b = append(b, status(v.Reason)...)
	b = append(b, `","reason":"`...)
	b = append(b, v.Reason...)
	b = append(b, `","detail":`...)
	b = appendText(b, claim.ForPartner(c, v, lang))
	if operands := forPartner(v.Operands); operands != (reason.Operands{}) {
		b = append(b, `,"operands":`...)
		text, _ := json.Marshal(operands)
		b = append(b, text...)
	}
	if v.Method != "" {
		b = append(b, `,"method":`...)
		b = appendText(b, v.Method)
	}
	b = append(b, `,"reduction_mg":`...)
	b = strconv.AppendInt(b, v.Milligrams, 10)
	b = append(b, `,"points_thousandths":`...)
	b = strconv.AppendInt(b, v.Points, 10)
	if v.Ref != (claim.Ref{}) {
		b = append(b, `,"ref":"`...)
		b = append(strconv.AppendInt(b, int64(v.Ref.Part), 10), '.')
		b = append(strconv.AppendInt(b, v.Ref.Batch, 10), '.')
		b = append(strconv.AppendInt(b, int64(v.Ref.Ord), 10), '"')
	}
	if v.First != "" {
		b = append(b, `,"first":"`...)
		b = append(b, v.First...)
		b = append(b, '"')
	}
	return append(b, '}')
}

func status(code reason.Code) string {
	if code == reason.Retry {
		return "retry"
	}
	return string(code.Kind())
}

// forPartner takes out of the operands what a partner must not learn.
func forPartner(o reason.Operands) reason.Operands {
	o.Other = ""
	return o
}
