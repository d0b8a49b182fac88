package figure_test

import (
	"testing"

	"github.com/tanpu/tanpu/web/figure"
)

func TestFigures(t *testing.T) {
	kg := figure.Fitting(5_000_000, -3)
	for _, test := range []struct{ name, got, want string }{
		{"count", figure.Count(12762), "12,762"},
		{"count below zero", figure.Count(-1234567), "−1,234,567"},
		{"more", figure.Signed(12), "+12"},
		{"less", figure.Signed(-3), "−3"},
		{"the same", figure.Signed(0), "0"},
		{"points go down", figure.Points(19_599), "19.5"},
		{"compact, zh", figure.Compact(-340_250, "zh") + " " + figure.Compact(9_999, "zh") + " " + figure.Compact(123_456_789, "zh"), "−34.03\u00a0万 9,999 1.23\u00a0亿"},
		{"compact, en", figure.Compact(12_762, "en") + " " + figure.Compact(-340_250, "en") + " " + figure.Compact(120_000_000, "en"), "12.8k −340.3k 120.00M"},
		{"grams", figure.Mass(195_930, "zh"), "195.9\u00a0克"},
		{"kilograms go down", figure.Mass(12_349_999, "en"), "12.34\u00a0kg"},
		{"tonnes", figure.Mass(37_349_751_088, "zh"), "37.34\u00a0吨"},
		{"a debit goes down too", figure.Mass(-12_341_000, "en"), "−12.35\u00a0kg"},
		{"a difference goes to the nearest", figure.Difference(-12_347_000, "en"), "12.35\u00a0kg"},
		{"a column's unit is its largest value's", kg.Name + " " + kg.Of(999) + " " + kg.Of(4_999_999), "kg 0.00 4.99"},
		{"difference in a column", kg.More(-1_204_999) + " " + kg.More(1) + " " + kg.More(-1) + " " + kg.More(0), "−1.20 +0.00 −0.00 0"},
		{"axis", kg.Plain(5_000_000) + " " + kg.Plain(2_500_000) + " " + kg.Plain(-500_000) + " " + kg.Plain(0), "5 2.5 −0.5 0"},
		{"exact", figure.Exact(195_930), "195.930"},
		{"change", figure.Change(1000, 1031) + " " + figure.Change(-100, -50) + " " + figure.Change(10_000, 9999) + " " + figure.Change(0, 5), "+3.1% +50.0% 0.0% —"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
}
