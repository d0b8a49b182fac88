package claim

import "time"

// EventType is the CloudEvents type of an event that carries a claim.
const EventType = "tanpu.claim.v1"

// AppendEvent writes c as the CloudEvent by which it is reported.
func AppendEvent(b []byte, c *Claim) []byte {
	b = append(b, `{"specversion":"1.0","type":"`+EventType+`","source":`...)
	b = appendString(b, c.Partner)
	b = appendString(append(b, `,"id":`...), c.ID)
	b = appendString(append(b, `,"subject":`...), c.Sub)
	b = appendString(append(b, `,"data":{"scenario":`...), c.Scenario)
	b = AppendInstant(append(b, `,"start":"`...), c.Start)
	b = AppendInstant(append(b, `","end":"`...), c.End)
	b = append(b, `","quantities":{`...)
	for i := range c.Quantities {
		q := &c.Quantities[i]
		b = appendString(append(appendString(comma(b), q.Name), ':'), q.Text)
	}
	b = append(b, '}')
	b = appendField(b, "evidence", c.Evidence)
	b = appendField(b, "region", c.Region)
	b = appendField(b, "act", c.Act)
	b = appendField(b, "object", c.Object)
	b = appendField(b, "commitment", c.Commitment)
	return append(b, "}}"...)
}

// AppendInstant writes an instant as RFC 3339 does, in UTC.
func AppendInstant(b []byte, at Micros) []byte {
	return time.UnixMicro(at).UTC().AppendFormat(b, "2006-01-02T15:04:05.999999Z07:00")
}
