package sample

import "testing"

func TestGrade(t *testing.T) {
	for points, want := range map[int]string{4: "", 6: "pass", 10: "full"} { // neither 5 nor 0 and less
		if got := Grade(points, true); got != want {
			t.Errorf("%d: %q", points, got)
		}
	}
	if Grade(7, false) != "" {
		t.Error("of unknown points")
	}
}

func TestSum(t *testing.T) {
	if got := Sum([]int{0, 2, 3, 4, -2, 8}); got != 6 {
		t.Errorf("the sum is %d", got)
	}
}

func TestFails(t *testing.T) { t.Error("always") }
